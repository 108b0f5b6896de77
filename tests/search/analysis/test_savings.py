"""What training a search was spared."""

from dataclasses import replace

from search.analysis.savings import epochs_asked, in_words, savings
from search.records import TrainingDone, TrialRecord, TrialState
from tests.messages import naming
from tests.search.analysis.test_pareto import running, trial

TEN = {"training": "standard", "training.standard.epochs": 10}


def made(
    number: int, state: TrialState = TrialState.COMPLETE, parent: int | None = None
) -> TrialRecord:
    return replace(trial(number, 0.9, 100, state=state), params=TEN, parent=parent)


def done(**epochs: int) -> dict[int, TrainingDone]:
    return {int(name[1:]): TrainingDone(epochs=n, reused=False) for name, n in epochs.items()}


def test_a_rejected_recipe_spares_all_its_epochs() -> None:
    found = savings([made(0), made(1, TrialState.INFEASIBLE)], done(_0=10))
    assert (found.trained, found.rejected, found.stopped, found.shared) == (10, 10, 0, 0)
    assert found.share == 0.5


def test_one_that_was_found_too_costly_after_training_spares_none() -> None:
    found = savings([made(0, TrialState.INFEASIBLE)], done(_0=10))
    assert (found.trained, found.saved) == (10, 0)


def test_a_stopped_trial_spares_what_was_left() -> None:
    found = savings([made(0, TrialState.STOPPED)], done(_0=3))
    assert (found.trained, found.stopped) == (3, 7)


def test_a_branch_spares_the_training_that_it_took_over() -> None:
    found = savings([made(0), made(1, parent=0), made(2, parent=0)], done(_0=10, _1=10, _2=10))
    assert (found.trained, found.shared) == (10, 20)


def test_a_trial_that_took_over_a_stage_spares_it_too() -> None:
    reused = {0: TrainingDone(epochs=10, reused=False), 1: TrainingDone(epochs=10, reused=True)}
    found = savings([made(0), made(1)], reused)
    assert (found.trained, found.shared) == (10, 10)


def test_a_running_trial_does_not_count_yet() -> None:
    assert savings([replace(running(0), params=TEN)], {}).share == 0


def test_the_pace_is_that_of_trials_that_trained_to_their_end() -> None:
    slow = made(0)
    assert slow.outcome is not None
    slow = replace(slow, outcome=replace(slow.outcome, duration_s=50.0))
    found = savings([slow, made(1, TrialState.STOPPED)], done(_0=10, _1=1))
    assert found.seconds_per_epoch == 5.0
    assert naming("45.0s").search(in_words(found))


def test_a_recipe_that_names_no_epochs_asks_for_none() -> None:
    assert epochs_asked({"training": "standard"}) == 0
    assert epochs_asked({}) == 0
