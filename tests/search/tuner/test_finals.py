"""The choice of finalists, and the tuner that runs them; no network is trained."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from search.config.study import Study
from search.errors import StudyHeld
from search.files.filestore import FolderStore
from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.progress import FinalPlace, SilentCallback
from search.records import (
    Branch,
    FailureRecord,
    Measurement,
    Outcome,
    Purpose,
    Scalar,
    TrialKind,
    TrialRecord,
    TrialState,
)
from search.search_clock import SearchClock
from search.storage.artifact_owner import Claim
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.finalists import (
    Finalist,
    choose_finalists,
    left_to_train,
    refit_finalist,
    to_the_end,
)
from search.tuner.finals import FinalTuner
from spaces.recipe import Recipe
from tests.measured import cost, point, quality

PLAIN: dict[str, Scalar] = {
    "student": "timm",
    "training": "standard",
    "training.standard.epochs": 4,
    "distillation": "labels",
    "pruning": "none",
    "quantization": "float32",
}
INT8 = PLAIN | {"quantization": "int8_static"}
FASTER = PLAIN | {"training.standard.learning_rate": 0.02}
LONGER = PLAIN | {"training.standard.epochs": 8}


def _study(**final: object) -> Study:
    return Study.model_validate(
        {
            "study": "digits",
            "data": {"source": "digits"},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": {"student": {"timm": {"model": "test_resnet"}}},
            "budget": {"size": 300},
            "final": final,
        }
    )


def _complete(accuracy: float, *, size_bytes: int = 200) -> Outcome:
    return Outcome(
        state=TrialState.COMPLETE,
        cost=cost(size_bytes=size_bytes, latency_ms=1.0),
        quality=quality(accuracy=accuracy),
    )


def _add(store: Store, params: Mapping[str, Scalar], outcome: Outcome) -> int:
    whole = Recipe.from_params(params).to_params()
    number = store.start_trial("digits", params=whole, seed=0)
    store.finish_trial("digits", number, outcome)
    return number


def _with_branch(outcome: Outcome, params: Mapping[str, Scalar], accuracy: float) -> Outcome:
    whole = Recipe.from_params(params).to_params()
    branch = Branch(params=whole, outcome=_complete(accuracy))
    return Outcome(**{**vars(outcome), "branches": (branch,)})


@pytest.fixture
def trials(store: Store) -> list[TrialRecord]:
    """Two trainings, of which one has a better branch, one that is too large, one that failed."""
    _add(store, PLAIN, _with_branch(_complete(0.9), INT8, 0.92))  # 0, and its branch 1
    _add(store, FASTER, _complete(0.91))  # 2
    _add(store, LONGER, _complete(0.99, size_bytes=400))  # 3
    failure = FailureRecord(kind="non_finite", message="the loss is nan")
    _add(store, LONGER, Outcome(state=TrialState.FAILED, failure=failure))  # 4
    return store.trials("digits")


def test_finalists_are_the_best_of_different_trainings_within_the_budget(
    trials: list[TrialRecord],
) -> None:
    finalists = choose_finalists(_study(students=3), trials)
    assert [one.purpose.repeats for one in finalists] == [1, 2]
    assert [one.recipe.training.epochs for one in finalists] == [20, 20]
    assert finalists[0].recipe.quantization.name == "int8_static"
    assert [str(one.place) for one in finalists] == ["finalist 1 of 2", "finalist 2 of 2"]


def test_a_study_without_the_section_has_no_finalists(trials: list[TrialRecord]) -> None:
    study = _study().model_copy(update={"final": None})
    assert choose_finalists(study, trials) == ()


def test_each_finalist_has_all_its_seeds_before_the_next(trials: list[TrialRecord]) -> None:
    finalists = choose_finalists(_study(students=2, seeds=2, epochs=6), trials)
    assert [(one.purpose.repeats, one.seed) for one in finalists] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]
    assert {one.recipe.training.epochs for one in finalists} == {6}
    assert str(finalists[3].place) == "finalist 2 of 2, seed 2 of 2"


def test_recipes_that_differ_in_epochs_alone_are_one_training_if_the_epochs_are_given(
    store: Store,
) -> None:
    _add(store, PLAIN, _complete(0.9))
    _add(store, LONGER, _complete(0.91))
    trials = store.trials("digits")
    assert len(choose_finalists(_study(epochs=30), trials)) == 1
    assert len(choose_finalists(_study(), trials)) == 2


def test_finalists_do_not_train_longer_than_their_method_allows() -> None:
    recipe = Recipe.from_params(PLAIN | {"training.standard.epochs": 300})
    assert to_the_end(recipe, None).training.epochs == 1000


def test_finals_of_earlier_runs_are_kept_and_those_that_were_begun_have_their_number(
    store: Store, trials: list[TrialRecord]
) -> None:
    first, second = choose_finalists(_study(students=2), trials)
    done = store.start_trial(
        "digits", params=first.recipe.to_params(), seed=0, purpose=first.purpose
    )
    store.finish_trial("digits", done, _complete(0.95))
    begun = store.start_trial(
        "digits", params=second.recipe.to_params(), seed=0, purpose=second.purpose
    )
    store.interrupt_running("digits")
    (left,) = left_to_train((first, second), store.trials("digits"))
    assert (left.number, left.purpose) == (begun, second.purpose)
    longer = choose_finalists(_study(students=2, epochs=50), trials)
    assert len(left_to_train(longer, store.trials("digits"))) == 2


def test_a_finalist_whose_batch_was_halved_is_made(store: Store, trials: list[TrialRecord]) -> None:
    (first,) = choose_finalists(_study(students=1), trials)
    halved = first.recipe.to_params() | {"training.standard.batch_size": 32}
    number = store.start_trial("digits", params=halved, seed=0, purpose=first.purpose)
    store.finish_trial("digits", number, _complete(0.95))
    assert left_to_train((first,), store.trials("digits")) == ()


class _Notes(SilentCallback):
    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[TrialState] = []

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        self.began.append(str(place))

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        self.ended.append(outcome.state)


def _tuner(
    store: Store, folder: Path, finalists: tuple[Finalist, ...], **settings: object
) -> tuple[FinalTuner, _Notes]:
    notes = _Notes()
    writer = RetryingWriter(store, "digits", Claim(FolderStore.of(folder / "digits"), hold=""))
    return (
        FinalTuner(
            finalists,
            writer=writer,
            callback=notes,
            **{"retries": 0, "clock": SearchClock(), **settings},  # type: ignore[arg-type]
        ),
        notes,
    )


def test_finalists_run_in_order_and_one_that_fails_ends_alone(
    store: Store, trials: list[TrialRecord], tmp_path: Path
) -> None:
    tuner, notes = _tuner(store, tmp_path, choose_finalists(_study(), trials))
    assert (tuner.missing, tuner.is_over) == (2, False)
    first, second = tuner.next(), tuner.next()
    assert first is not None
    assert second is not None
    assert tuner.next() is None
    assert first.fitting_cost == trials[1].outcome.cost  # type: ignore[union-attr]
    assert tuner.on_trial_report(second.number, point(0, 0.1))  # nothing is stopped early
    tuner.on_trial_end(first.number, None)
    tuner.on_trial_end(second.number, _complete(0.95))
    assert tuner.is_over
    assert notes.began == ["finalist 1 of 2", "finalist 2 of 2"]
    assert notes.ended == [TrialState.FAILED, TrialState.COMPLETE]
    found = store.trials("digits")[-2:]
    assert [(one.kind, one.repeats) for one in found] == [
        (TrialKind.FINAL, 1),
        (TrialKind.FINAL, 2),
    ]


def test_a_finalist_runs_again_after_its_process_died_or_lacked_memory(
    store: Store, trials: list[TrialRecord], tmp_path: Path
) -> None:
    finalists = choose_finalists(_study(students=1), trials)
    tuner, _ = _tuner(store, tmp_path, finalists, retries=1)
    for kind in (PROCESS_DIED, OUT_OF_MEMORY):
        trial = tuner.next()
        assert trial is not None
        tuner.on_trial_end(trial.number, None, FailureRecord(kind=kind, message="it ended"))
    last = tuner.next()
    assert last is not None
    assert last.recipe.training.batch_size == 32
    tuner.on_trial_end(last.number, _complete(0.95))
    assert store.trial("digits", last.number).attempts == 3


def test_no_finalist_starts_after_the_time_limit(
    store: Store, trials: list[TrialRecord], tmp_path: Path
) -> None:
    finalists = choose_finalists(_study(), trials)
    tuner, _ = _tuner(store, tmp_path, finalists, clock=SearchClock(60.0), max_time=59.0)
    assert tuner.next() is None
    assert tuner.is_over
    assert tuner.left_by_time == 2


def test_an_interruption_lets_running_finalists_end(
    store: Store, trials: list[TrialRecord], tmp_path: Path
) -> None:
    tuner, notes = _tuner(store, tmp_path, choose_finalists(_study(), trials))
    trial = tuner.next()
    assert trial is not None
    tuner.interrupt("enough")
    assert tuner.next() is None
    tuner.on_trial_end(trial.number, _complete(0.95))
    assert notes.ended == [TrialState.COMPLETE]
    tuner.on_lease_lost(StudyHeld("another process runs digits"))
    assert isinstance(tuner.fault, StudyHeld)


def test_nothing_on_validation_images_is_recorded_of_a_refit_that_fails(
    store: Store, trials: list[TrialRecord], tmp_path: Path
) -> None:
    tuner, _ = _tuner(store, tmp_path, (refit_finalist(trials[2]),))
    trial = tuner.next()
    assert trial is not None
    tuner.on_trial_report(trial.number, point(0, 0.99))
    tuner.on_trial_end(trial.number, None)
    found = store.trial("digits", trial.number)
    assert (found.kind, found.repeats) == (TrialKind.REFIT, 2)
    assert found.state is TrialState.FAILED
    assert found.outcome is not None
    assert found.outcome.epochs == ()


def test_a_purpose_is_that_of_the_search_unless_it_is_given(store: Store) -> None:
    number = _add(store, PLAIN, _complete(0.9))
    record = store.trial("digits", number)
    assert Purpose(record.kind, record.repeats) == Purpose(TrialKind.SEARCH)


def _with_recall(accuracy: float, recall: float, *, size_bytes: int = 200) -> Outcome:
    budget = _signs().budget
    made = _complete(accuracy, size_bytes=size_bytes)
    found = {**made.quality, "recall.stop": Measurement(recall, 0.01)}
    assert made.cost is not None
    return replace(made, quality=found, violations=budget.violations(made.cost, found))


def _signs(**final: object) -> Study:
    study = _study(**final)
    budget = {"size": 300, "recall": {"stop": 0.98}}
    return Study.model_validate({**study.model_dump(exclude={"run"}), "budget": budget})


def test_finalists_meet_the_floors_or_are_the_nearest_to_them(store: Store) -> None:
    far = _add(store, PLAIN, _with_recall(0.99, 0.5))
    near = _add(store, LONGER, _with_recall(0.95, 0.97))
    met = _add(store, FASTER, _with_recall(0.9, 0.99))
    chosen = choose_finalists(_signs(students=3), store.trials("digits"))
    assert [one.purpose.repeats for one in chosen] == [met, near, far]
    (only,) = choose_finalists(_signs(students=1), store.trials("digits"))
    assert only.purpose.repeats == met
