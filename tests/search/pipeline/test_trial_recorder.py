"""What a trial notes of the time that it takes."""

import time
from collections.abc import Generator

import pytest

from search.pipeline.trial_recorder import WorkClock


class _Time:
    """Seconds that pass when it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> _Time:
    clock = _Time()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def _work(passing: _Time) -> Generator[str, None, float]:
    for news in ("first", "second"):
        passing.seconds += 2.0
        yield news
    passing.seconds += 1.0
    return passing.seconds


def test_the_clock_stands_still_while_work_waits_to_go_on(passing: _Time) -> None:
    clock = WorkClock()
    start = clock.now()
    work = clock.timed(_work(passing))
    for expected in ("first", "second"):
        assert next(work) == expected
        passing.seconds += 30.0  # until it is asked for more
    with pytest.raises(StopIteration) as end:
        next(work)
    assert end.value.value == passing.seconds
    assert clock.now() - start == 5.0


def test_work_that_is_given_up_is_closed(passing: _Time) -> None:
    inner = _work(passing)
    work = WorkClock().timed(inner)
    next(work)
    work.close()
    assert inner.gi_frame is None
