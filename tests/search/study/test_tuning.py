"""What is done beside the start of the workers."""

from threading import Event
from time import sleep

import pytest

from search.study.tuning import _beside


def test_work_goes_on_beside_the_block_and_ends_with_it() -> None:
    twice = Event()
    calls: list[int] = []

    def work() -> bool:
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        return True

    with _beside(work):
        assert twice.wait(timeout=60)
    made = len(calls)
    sleep(0.05)
    assert len(calls) == made


def test_work_that_is_done_is_not_asked_for_more() -> None:
    begun = Event()
    calls: list[int] = []

    def work() -> bool:
        calls.append(1)
        begun.set()
        return False

    with _beside(work):
        assert begun.wait(timeout=60)
        sleep(0.05)
    assert len(calls) == 1


def test_what_goes_wrong_beside_the_block_is_raised_after_it() -> None:
    begun = Event()

    def work() -> bool:
        begun.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), _beside(work):
        assert begun.wait(timeout=60)


def test_an_interrupted_block_ends_the_work() -> None:
    with pytest.raises(KeyboardInterrupt), _beside(lambda: True):
        raise KeyboardInterrupt
