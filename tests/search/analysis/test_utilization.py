"""How busy the workers of a search were."""

from datetime import UTC, datetime, timedelta

import pytest

from search.analysis.utilization import WorkerOccupancy, occupancy, occupancy_text
from search.records import Outcome, TrialRecord, TrialState
from tests.messages import naming

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _trial(
    number: int, state: TrialState, begin: float, end: float, busy: float, parent: int | None = None
) -> TrialRecord:
    """A trial that ran from `begin` to `end`, in seconds, and worked for `busy` of them."""
    return TrialRecord(
        study="digits",
        number=number,
        state=state,
        params={},
        seed=0,
        started_at=NOW + timedelta(seconds=begin),
        finished_at=NOW + timedelta(seconds=end),
        outcome=Outcome(state=state, duration_s=busy),
        parent=parent,
    )


def test_the_share_is_of_all_workers_time() -> None:
    trials = [
        _trial(0, TrialState.COMPLETE, 0.0, 31.0, 30.0),
        _trial(1, TrialState.STOPPED, 2.0, 10.5, 8.0),
    ]
    found = occupancy(trials, elapsed_s=20.0, workers=2)
    assert found.share == pytest.approx(38 / 40)


def test_around_a_trial_is_what_its_worker_waited_before_and_within_it() -> None:
    trials = [
        _trial(0, TrialState.COMPLETE, 0.0, 10.0, 9.0),
        _trial(1, TrialState.COMPLETE, 0.0, 20.0, 19.0),
        # It follows trial 0, 2 seconds later, and waits for half a second itself.
        _trial(2, TrialState.COMPLETE, 12.0, 17.5, 5.0),
    ]
    assert occupancy(trials, elapsed_s=20.0, workers=2).around_s == pytest.approx(1.0)
    assert occupancy([*trials[:1], trials[2]], elapsed_s=20.0, workers=1).around_s == (
        pytest.approx((1.0 + 2.5) / 2)
    )


def test_a_branch_is_work_of_its_parents_worker_and_a_rejected_recipe_is_none() -> None:
    trials = [
        _trial(0, TrialState.COMPLETE, 0.0, 30.5, 30.0),
        _trial(1, TrialState.COMPLETE, 31.0, 36.0, 5.0, parent=0),
        _trial(2, TrialState.INFEASIBLE, 40.0, 40.0, 0.0),
    ]
    found = occupancy(trials, elapsed_s=40.0, workers=1)
    assert (found.busy_s, found.around_s) == (35.0, pytest.approx(1.0))


def test_where_no_one_says_how_many_ran_at_a_time_it_is_as_many_as_did() -> None:
    spans = ((0.0, 10.0), (1.0, 12.0), (2.0, 9.0), (10.0, 20.0))
    trials = [_trial(i, TrialState.COMPLETE, *span, 7.0) for i, span in enumerate(spans)]
    assert occupancy(trials, elapsed_s=20.0, workers=None).workers == 3
    assert occupancy([], elapsed_s=20.0, workers=None).workers == 1


def test_a_search_that_never_began_has_no_share() -> None:
    found = occupancy([], elapsed_s=0.0, workers=2)
    assert (found.share, found.around_s) == (0.0, 0.0)


def test_the_text_says_how_many_how_long_and_which_share() -> None:
    text = occupancy_text(WorkerOccupancy(workers=2, elapsed_s=600.0, busy_s=1140.0, around_s=1.0))
    assert naming(2, "10m 00s", "95%", "1.0s").search(text)
