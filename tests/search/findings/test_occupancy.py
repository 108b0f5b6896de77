"""How busy the workers of a search were."""

from datetime import UTC, datetime

import pytest

from search.findings.occupancy import Occupancy, occupancy, occupancy_text
from search.records import Outcome, TrialRecord, TrialState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _trial(
    number: int, state: TrialState, seconds: float, parent: int | None = None
) -> TrialRecord:
    return TrialRecord(
        study="digits",
        number=number,
        state=state,
        params={},
        seed=0,
        started_at=NOW,
        finished_at=NOW,
        outcome=Outcome(state=state, duration_s=seconds),
        parent=parent,
    )


def test_the_share_is_of_all_workers_time() -> None:
    trials = [_trial(0, TrialState.COMPLETE, 30.0), _trial(1, TrialState.STOPPED, 8.0)]
    found = occupancy(trials, elapsed_s=20.0, workers=2)
    assert found.share == pytest.approx(38 / 40)
    assert found.around_s == pytest.approx(1.0)


def test_a_branch_takes_time_but_no_worker_of_its_own_and_a_rejected_recipe_neither() -> None:
    trials = [
        _trial(0, TrialState.COMPLETE, 30.0),
        _trial(1, TrialState.COMPLETE, 5.0, parent=0),
        _trial(2, TrialState.INFEASIBLE, 0.0),
    ]
    found = occupancy(trials, elapsed_s=40.0, workers=1)
    assert (found.busy_s, found.trials) == (35.0, 1)


def test_a_search_that_never_began_has_no_share() -> None:
    found = occupancy([], elapsed_s=0.0, workers=2)
    assert (found.share, found.around_s) == (0.0, 0.0)


def test_the_text_says_how_many_how_long_and_which_share() -> None:
    text = occupancy_text(Occupancy(workers=2, elapsed_s=600.0, busy_s=1140.0, trials=60))
    assert text == "2 at a time for 10m 00s: 95% of it in trials, 1.0s of a worker around each"
