"""Disturbed runs and rounds, on clocks that the test moves: no time is measured here."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import numpy as np
import pytest

from search.targets.latency import Clocks, Latency, measure_latency, scattered_share

# What a run takes, and how long its thread waits for the processor meanwhile, in seconds.
Run = tuple[float, float]
QUIET: Run = (0.010, 0.0)
PREEMPTED: Run = (0.010, 0.040)
SLOW: Run = (0.013, 0.0)
# The warm-up of 0.05 s, and rounds of 0.03 s or five runs.
WARM_UP = [QUIET] * 5


@pytest.fixture(autouse=True)
def _whole_rounds(rounds_of_users: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    warm_up_s, round_s = rounds_of_users
    monkeypatch.setattr("search.targets.latency._WARM_UP_S", warm_up_s)
    monkeypatch.setattr("search.targets.latency._ROUND_S", round_s)


class _Machine:
    """A machine whose clocks move by the given runs, and a model that runs on it."""

    image_shape = (1, 2, 2)

    def __init__(self, runs: Iterator[Run], *, computes_in_caller: bool = True) -> None:
        self.computes_in_caller = computes_in_caller
        self.wall_s = self.thread_s = 0.0
        self.runs_done = 0
        self._runs = runs

    @property
    def clocks(self) -> Clocks:
        return Clocks(wall=lambda: self.wall_s, thread=lambda: self.thread_s)

    def predict(self, images: np.ndarray) -> np.ndarray:
        computed_s, waited_s = next(self._runs)
        self.wall_s += computed_s + waited_s
        self.thread_s += computed_s
        self.runs_done += 1
        return images


def _rounds(*kinds: Run, rest: Run) -> Iterator[Run]:
    """Rounds of five equal runs: the given ones, then the rest."""
    return chain(WARM_UP, *([kind] * 5 for kind in kinds), repeat(rest))


def _measured(runs: Iterator[Run], *, computes_in_caller: bool = True) -> tuple[Latency, int]:
    """The latency, and the number of rounds that it took."""
    machine = _Machine(runs, computes_in_caller=computes_in_caller)
    (latency,) = measure_latency([machine], clocks=machine.clocks)
    return latency, (machine.runs_done - len(WARM_UP)) // 5


def test_a_quiet_machine_is_measured_in_seven_rounds() -> None:
    latency, rounds = _measured(_rounds(rest=QUIET))
    assert rounds == 7
    assert latency.rounds_ms == pytest.approx([10.0] * 7)
    assert (latency.median_ms, latency.p95_ms) == pytest.approx((10.0, 10.0))
    assert latency.scatter_ms == pytest.approx(0.0, abs=1e-9)
    assert not latency.is_disturbed


@pytest.mark.parametrize("kind", [PREEMPTED, SLOW])
def test_fault_43_disturbed_rounds_are_repeated_and_left_out(kind: Run) -> None:
    latency, rounds = _measured(_rounds(kind, QUIET, kind, kind, QUIET, rest=QUIET))
    assert rounds == 7 + 3
    assert (latency.median_ms, latency.p95_ms) == pytest.approx((10.0, 10.0))
    assert not latency.is_disturbed


def test_fault_43_runs_without_the_processor_are_left_out_of_a_round() -> None:
    mixed = chain.from_iterable(repeat([QUIET, PREEMPTED, QUIET, QUIET]))
    machine = _Machine(chain(WARM_UP, mixed))
    clocks = machine.clocks
    (latency,) = measure_latency([machine], clocks=clocks)
    # A round ends after 0.03 s or five runs, so it has too few quiet ones, and stays disturbed.
    assert latency.disturbed == 1.0
    short = chain.from_iterable(repeat([(0.001, 0.0)] * 3 + [(0.001, 0.004)]))
    quick = _Machine(chain([QUIET] * 5, short))
    (latency,) = measure_latency([quick], clocks=quick.clocks)
    assert not latency.is_disturbed
    assert latency.p95_ms == pytest.approx(1.0)


def test_fault_43_a_machine_that_is_never_quiet_is_marked_after_a_limit() -> None:
    latency, rounds = _measured(_rounds(rest=PREEMPTED))
    assert 7 < rounds <= 28
    assert latency.disturbed == 1.0
    assert latency.is_disturbed
    # Three quiet rounds do not suffice, but they are used.
    latency, _ = _measured(_rounds(PREEMPTED, QUIET, QUIET, QUIET, rest=PREEMPTED))
    assert latency.disturbed == pytest.approx(4 / 7)
    assert latency.scatter_ms == pytest.approx(40.0)


def test_repeating_ends_after_some_seconds() -> None:
    latency, rounds = _measured(_rounds(rest=(0.1, 1.0)))
    assert rounds == 7
    assert latency.disturbed == 1.0


def test_a_thread_that_sleeps_while_a_gpu_computes_is_not_taken_for_disturbed() -> None:
    latency, rounds = _measured(_rounds(rest=PREEMPTED), computes_in_caller=False)
    assert rounds == 7
    assert latency.median_ms == pytest.approx(50.0)
    assert not latency.is_disturbed


def test_a_round_of_several_models_is_repeated_for_all_of_them() -> None:
    order: list[str] = []
    runs = _rounds(rest=QUIET)
    machine = _Machine(runs)

    def named(name: str, wait: Callable[[int], float]) -> _Machine:
        class _Named(_Machine):
            def predict(self, images: np.ndarray) -> np.ndarray:
                self.runs_done += 1
                machine.wall_s += 0.01 + wait(self.runs_done)
                machine.thread_s += 0.01
                if order[-1:] != [name]:
                    order.append(name)
                return images

        return _Named(runs)

    # The first model waits in its second round alone: runs 6 to 10, since the warm-up has five.
    first = named("first", lambda done: 0.04 if 10 < done <= 15 else 0.0)
    second = named("second", lambda done: 0.0)
    found = measure_latency([first, second], clocks=machine.clocks)
    assert order == ["first", "second"] * (1 + 8)
    assert [len(latency.rounds_ms) for latency in found] == [7, 7]
    assert not any(latency.is_disturbed for latency in found)


@pytest.mark.parametrize(
    ("rounds_ms", "share"), [([], 0.0), ([1.0, 1.05, 1.0], 0.0), ([1.0, 1.2, 1.0, 3.0], 0.5)]
)
def test_the_rounds_of_an_older_agent_tell_of_its_disturbances(
    rounds_ms: list[float], share: float
) -> None:
    assert scattered_share(rounds_ms) == share
