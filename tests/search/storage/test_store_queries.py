"""What a dashboard asks a store of either kind: many studies at once, and some trials of many."""

from dataclasses import replace

import pytest

from search.errors import StoreError
from search.records import (
    EpochRecord,
    Outcome,
    Scalar,
    StageRecord,
    StudyExtent,
    Tally,
    TrainingDone,
    TrialState,
)
from search.storage.storage import Store
from tests.messages import naming
from tests.search.storage.test_storage import COMPLETE, FAILED


def add(store: Store, outcome: Outcome | None = None, **params: Scalar) -> int:
    """A trial of the study `digits`, ended unless it has no outcome."""
    names = {name.replace("__", "."): value for name, value in params.items()}
    number = store.start_trial("digits", params=names, seed=0)
    if outcome is not None:
        store.finish_trial("digits", number, outcome)
    return number


def test_pulses_are_those_of_each_study_the_one_that_changed_last_first(store: Store) -> None:
    store.create_study("other", config={}, artifacts="a")
    add(store)
    pulses = store.pulses()
    assert list(pulses) == ["digits", "other"]
    assert pulses == {name: store.pulse(name) for name in pulses}
    assert pulses["other"][0] == 0


def test_tallies_count_trials_and_their_seconds_by_state(store: Store) -> None:
    store.create_study("other", config={}, artifacts="a")
    add(store, replace(COMPLETE, duration_s=2.0))
    add(store, replace(COMPLETE, duration_s=3.0))
    add(store, FAILED)
    add(store)
    assert store.tallies() == {
        "digits": {
            TrialState.COMPLETE: Tally(trials=2, seconds=5.0),
            TrialState.FAILED: Tally(trials=1, seconds=0.0),
            TrialState.RUNNING: Tally(trials=1, seconds=0.0),
        }
    }


def test_trials_are_had_by_number(store: Store) -> None:
    for _ in range(4):
        add(store, COMPLETE)
    found = store.trials("digits", numbers=[3, 1, 99], whole=True)
    assert [trial.number for trial in found] == [1, 3]
    assert found[0] == store.trial("digits", 1)


def test_a_light_trial_differs_from_the_whole_one_in_what_is_left_out_alone(store: Store) -> None:
    add(store, replace(FAILED, hardware={"threads": 1}))
    add(store, COMPLETE)
    add(store)
    for light, whole in zip(
        store.trials("digits"), store.trials("digits", whole=True), strict=True
    ):
        if whole.outcome is not None:
            failure = whole.outcome.failure and replace(whole.outcome.failure, traceback="")
            left = replace(whole.outcome, stages=(), epochs=(), failure=failure)
            whole = replace(whole, outcome=left)
        assert light == whole


def test_numbers_are_of_trials_that_made_the_choices(store: Store) -> None:
    add(store, COMPLETE, pruning="magnitude", student="timm", student__timm__model="resnet18")
    add(store, FAILED, pruning="magnitude", student="timm", student__timm__model="vit_tiny")
    add(store, COMPLETE, pruning="none", student="timm", student__timm__model="resnet18")
    add(store, COMPLETE, pruning="magnitude", student="small_cnn")
    magnitude = {"pruning": ["magnitude"]}
    either = {"student.timm.model": ["resnet18"], "student": ["small_cnn"]}
    assert store.numbers("digits") == [0, 1, 2, 3]
    assert store.numbers("digits", methods=[magnitude]) == [0, 1, 3]
    assert store.numbers("digits", methods=[magnitude, either]) == [0, 3]
    assert store.numbers("digits", states=[TrialState.FAILED], methods=[magnitude]) == [1]
    assert store.numbers("digits", methods=[{}]) == []


@pytest.mark.parametrize("value", ["x' OR '1'='1", '"', "%", "\\"])
def test_what_is_asked_for_is_never_taken_for_sql(store: Store, value: str) -> None:
    add(store, COMPLETE, pruning="magnitude")
    assert store.numbers("digits", methods=[{"pruning": [value], value: ["magnitude"]}]) == []


def test_numbers_of_an_unknown_study_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=naming("flowers")):
        store.numbers("flowers")


def test_training_done_counts_the_epochs_before_pruning_and_knows_whose_they_are(
    store: Store,
) -> None:
    def epoch(stage: str, number: int) -> EpochRecord:
        return EpochRecord(stage=stage, epoch=number, loss=1.0, score=0.5, learning_rate=0.1)

    epochs = (epoch("distil", 0), epoch("distil", 1), epoch("recover", 0))
    own, taken = (
        StageRecord(name="distil", seconds=1.0, reused=reused) for reused in (False, True)
    )
    add(store, replace(COMPLETE, epochs=epochs, stages=(own,)))
    add(store, replace(COMPLETE, epochs=epochs, stages=(taken,)))
    add(store, FAILED)
    assert store.training_done("digits") == {
        0: TrainingDone(epochs=2, reused=False),
        1: TrainingDone(epochs=2, reused=True),
    }


def test_a_study_has_come_as_far_as_its_trials_and_those_that_have_an_outcome(
    store: Store,
) -> None:
    assert store.extent("digits") == StudyExtent(trials=0, ended=0)
    first, _ = (store.start_trial("digits", params={}, seed=0) for _ in range(2))
    store.finish_trial("digits", first, Outcome(state=TrialState.INFEASIBLE))
    store.start_trial("digits", params={}, seed=0)
    store.interrupt_running("digits")
    assert store.extent("digits") == StudyExtent(trials=3, ended=1)
    assert StudyExtent(trials=3, ended=0).is_behind(store.extent("digits"))
    assert not StudyExtent(trials=4, ended=1).is_behind(store.extent("digits"))
