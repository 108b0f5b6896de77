"""Where a study stands, whatever its store says."""

from search.records import StudyState, TrialState
from search.storage.leases import standing_counts


def test_no_trial_runs_where_the_study_does_not() -> None:
    counts = {TrialState.RUNNING: 2, TrialState.INTERRUPTED: 1, TrialState.COMPLETE: 3}
    found = standing_counts(StudyState.INTERRUPTED, counts)
    assert found == {TrialState.INTERRUPTED: 3, TrialState.COMPLETE: 3}
    assert standing_counts(StudyState.RUNNING, counts) == counts
    assert standing_counts(StudyState.FINISHED, {TrialState.COMPLETE: 3}) == {
        TrialState.COMPLETE: 3
    }
