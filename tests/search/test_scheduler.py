import pytest

from search.records import Cost
from search.scheduler import Rungs


def _cost(size_bytes: int, latency_ms: float | None = 1.0) -> Cost:
    return Cost(size_bytes=size_bytes, parameters=1, macs=1, latency_ms=latency_ms)


@pytest.fixture
def rungs() -> Rungs:
    return Rungs(validation_images=1000)


def test_a_trial_that_a_cheaper_one_leaves_behind_is_hopeless(rungs: Rungs) -> None:
    assert rungs.hopeless(0, share=0.25, accuracy=0.9, cost=_cost(100)) is None
    reason = rungs.hopeless(1, share=0.25, accuracy=0.6, cost=_cost(200))
    assert reason is not None
    assert "trial 0" in reason
    assert "60.0%" in reason


def test_a_small_student_survives_a_larger_more_accurate_one(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.25, accuracy=0.9, cost=_cost(200))
    assert rungs.hopeless(1, share=0.25, accuracy=0.5, cost=_cost(100)) is None


def test_a_fast_student_survives_a_smaller_but_slower_one(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.25, accuracy=0.9, cost=_cost(100, latency_ms=2.0))
    assert rungs.hopeless(1, share=0.25, accuracy=0.5, cost=_cost(200, latency_ms=1.0)) is None


def test_what_chance_explains_stops_nobody(rungs: Rungs) -> None:
    # One standard error of the difference is 0.0205 here, and the margin 0.0338.
    rungs.hopeless(0, share=0.25, accuracy=0.70, cost=_cost(100))
    assert rungs.hopeless(1, share=0.25, accuracy=0.67, cost=_cost(100)) is None
    assert rungs.hopeless(2, share=0.25, accuracy=0.66, cost=_cost(100)) is not None


def test_fewer_validation_images_widen_the_margin() -> None:
    rungs = Rungs(validation_images=50)
    rungs.hopeless(0, share=0.25, accuracy=0.70, cost=_cost(100))
    assert rungs.hopeless(1, share=0.25, accuracy=0.60, cost=_cost(100)) is None


def test_only_the_same_rung_is_compared(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.5, accuracy=0.9, cost=_cost(100))
    assert rungs.hopeless(1, share=0.25, accuracy=0.5, cost=_cost(100)) is None


def test_each_rung_is_judged_once(rungs: Rungs) -> None:
    assert rungs.hopeless(0, share=0.25, accuracy=0.5, cost=_cost(100)) is None
    rungs.hopeless(1, share=0.25, accuracy=0.9, cost=_cost(100))
    assert rungs.hopeless(0, share=0.4, accuracy=0.5, cost=_cost(100)) is None
    rungs.hopeless(1, share=0.5, accuracy=0.9, cost=_cost(100))
    assert rungs.hopeless(0, share=0.5, accuracy=0.5, cost=_cost(100)) is not None


def test_before_the_first_rung_nobody_stops(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.2, accuracy=0.9, cost=_cost(100))
    assert rungs.hopeless(1, share=0.2, accuracy=0.1, cost=_cost(100)) is None


def test_a_stopped_trial_still_stands_for_what_it_reached(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.25, accuracy=0.9, cost=_cost(100))
    assert rungs.hopeless(1, share=0.25, accuracy=0.8, cost=_cost(150)) is not None
    assert rungs.hopeless(2, share=0.25, accuracy=0.5, cost=_cost(160)) is not None


def test_a_latency_that_is_not_known_counts_as_the_longest(rungs: Rungs) -> None:
    rungs.hopeless(0, share=0.25, accuracy=0.9, cost=_cost(100, latency_ms=None))
    assert rungs.hopeless(1, share=0.25, accuracy=0.5, cost=_cost(100)) is None
