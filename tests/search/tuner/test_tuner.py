"""The tuner of a search: real store, real sampler, real networks; no Ray."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from search.config.study import Study
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.gate import CostGate
from search.errors import StoreUnavailable, StudyHeld
from search.files.filestore import FolderStore
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL
from search.pipeline.failures import OUT_OF_MEMORY
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.progress import SilentCallback
from search.records import (
    Branch,
    EpochRecord,
    FailureRecord,
    Outcome,
    Scalar,
    TrialState,
)
from search.samplers.optuna_adapter import Sampler
from search.storage.artifact_owner import Claim
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.early_stopping import EarlyStopping
from search.tuner.learners import Learners
from search.tuner.pinning import FrontierPins
from search.tuner.trial import Trial
from search.tuner.tuner import Tuner
from spaces.recipe import Recipe
from tests.measured import cost, quality
from tests.messages import naming

SPACE = {
    "student": {"timm": {"model": ["test_resnet", "test_byobnet"]}},
    "training": {"standard": {"epochs": 4, "batch_size": 16, "learning_rate": [1e-3, 3e-3, 1e-2]}},
    "distillation": "labels",
    "quantization": ["float32", "int8_static"],
}


@dataclass
class _Notebook(SilentCallback):
    said: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.said.append(text)

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        self.ended.append(number)

    def on_trial_exit(self, number: int) -> None:
        self.left.append(number)


@dataclass
class _Stage:
    tuner: Tuner
    store: Store
    notebook: _Notebook
    sampler: Sampler


NewStage = Callable[..., _Stage]


@pytest.fixture(scope="module")
def costs() -> CostTable:
    """What untrained students were found to cost, by the first test that met them."""
    return CostTable()


@pytest.fixture
def stage(context: StudyContext, store: Store, costs: CostTable, tmp_path: Path) -> NewStage:
    """Gives a tuner of a study named `digits`, with the search's settings that are named."""

    def make(
        *, early_stopping: EarlyStopping | None = None, retries: int = 0, **search: object
    ) -> _Stage:
        study = Study.model_validate(
            {
                "study": "digits",
                "data": {"source": "digits"},
                "teacher": {"model": "test_resnet", "train": {}},
                "space": SPACE,
                "search": {"sampler": "random", "branches": 0, "trials": 2, **search},
                "run": {"retries": retries},
            }
        )
        notebook = _Notebook()
        requirements = replace(context.requirements, budget=Budget())
        feasibility = Feasibility(requirements, costs, timed=False)
        writer = RetryingWriter(
            store, "digits", Claim(FolderStore.of(tmp_path / "digits"), hold="")
        )
        gate = CostGate(feasibility, writer=writer, seed=0, callback=notebook)
        sampler = Sampler(study.search_space(), name="random", seed=0, gate=gate)
        pins = FrontierPins(
            "digits", DEFAULT_GOAL, context.lineage, StageCache(tmp_path / "kept", limit_bytes=1)
        )
        learners = Learners(sampler, gate, early_stopping, pins)
        tuner = Tuner(study, learners=learners, writer=writer, callback=notebook)
        return _Stage(tuner, store, notebook, sampler)

    return make


def _next(tuner: Tuner) -> Trial:
    trial = tuner.next()
    assert trial is not None
    return trial


def _point(epoch: int, accuracy: float) -> EpochRecord:
    return EpochRecord(stage="distil", epoch=epoch, loss=1.0, score=accuracy, learning_rate=1e-3)


def test_a_trial_is_on_record_before_it_starts(stage: NewStage) -> None:
    given = stage()
    trial = _next(given.tuner)
    record = given.store.trial("digits", trial.number)
    assert record.state is TrialState.RUNNING
    assert record.params == trial.recipe.to_params()


def test_no_more_trials_start_than_were_asked_for(stage: NewStage) -> None:
    given = stage(trials=2)
    first, _ = _next(given.tuner), _next(given.tuner)
    assert given.tuner.next() is None
    assert not given.tuner.is_over
    given.tuner.on_trial_end(first.number, Outcome(state=TrialState.INFEASIBLE, reason="too slow"))
    _next(given.tuner)


def test_it_is_over_once_enough_were_trained(stage: NewStage) -> None:
    given = stage(trials=1)
    given.tuner.on_trial_end(_next(given.tuner).number, None)
    assert given.tuner.is_over
    assert given.tuner.next() is None


def test_a_trial_without_a_word_of_its_own_failed(stage: NewStage) -> None:
    given = stage()
    number = _next(given.tuner).number
    given.tuner.on_trial_report(number, _point(0, 0.5))
    given.tuner.on_trial_end(number, None)
    record = given.store.trial("digits", number)
    assert record.outcome
    assert record.outcome.failure
    assert record.outcome.failure.kind == "process_died"
    assert record.outcome.epochs == (_point(0, 0.5),)


def test_a_hopeless_trial_is_recorded_as_stopped_with_its_curve(stage: NewStage) -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    given = stage(early_stopping=early_stopping, trials=4)
    free = cost(size_bytes=1, parameters=1, macs=1)
    for number in (100, 101, 102):
        early_stopping.should_stop(number, share=0.25, utility=0.8, cost=free)
        early_stopping.finish(number, replace(_complete(), cost=free))
    trial = _next(given.tuner)
    assert not given.tuner.on_trial_report(trial.number, _point(0, 0.3))
    given.tuner.on_trial_end(trial.number, None)
    record = given.store.trial("digits", trial.number)
    assert record.state is TrialState.STOPPED
    assert record.outcome
    assert not record.outcome.quality
    assert record.outcome.epochs == (_point(0, 0.3),)
    assert "trial 100" in (record.outcome.reason or "")


def test_branches_that_were_not_made_may_be_proposed(stage: NewStage) -> None:
    given = stage(branches=1, trials=100)
    under_way = []
    while (trial := given.tuner.next()) is not None:
        under_way.append(trial)
    assert not given.tuner.is_over
    stopped = next(trial for trial in under_way if trial.branches)
    given.tuner.on_trial_end(stopped.number, None)
    assert _next(given.tuner).recipe in stopped.branches


def test_branches_are_trials_with_a_parent_and_are_not_proposed_again(
    stage: NewStage, context: StudyContext
) -> None:
    given = stage(branches=1, trials=12)
    trial = _next(given.tuner)
    assert len(trial.branches) == 1
    assert not given.sampler.expect(trial.branches[0])
    progress = run_trial(
        trial.recipe,
        context,
        number=trial.number,
        seed=trial.seed,
        predicted_cost=trial.fitting_cost,
        branches=trial.branches or (),
    )
    given.tuner.on_trial_end(trial.number, finish(progress))
    branch = given.store.trial("digits", trial.number + 1)
    assert branch.parent == trial.number
    assert branch.params == trial.branches[0].to_params()
    assert branch.state is TrialState.COMPLETE
    assert given.notebook.ended == [trial.number, branch.number]


def _complete(accuracy: float = 0.9) -> Outcome:
    return Outcome(
        state=TrialState.COMPLETE,
        quality=quality(accuracy=accuracy, agreement=0.8),
        cost=cost(size_bytes=1000, parameters=1, macs=1, latency_ms=0.5),
    )


def _with_branches(trial: Trial, count: int, accuracy: float = 0.9) -> Outcome:
    made = (
        Branch(params=recipe.to_params(), outcome=_complete(accuracy))
        for recipe in trial.branches[:count]
    )
    return replace(_complete(), branches=tuple(made))


def test_a_trial_and_each_of_its_branches_is_on_record_once_it_is_known(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    trial = _next(given.tuner)
    assert trial.branches
    for made in range(len(trial.branches)):
        assert given.tuner.on_trial_result(trial.number, _with_branches(trial, made))
        assert len(given.store.trials("digits")) == 1 + made
        assert given.notebook.ended == list(range(1 + made))
    assert given.store.trial("digits", 0).state is TrialState.COMPLETE
    given.tuner.on_trial_end(trial.number, _with_branches(trial, len(trial.branches)))
    assert given.notebook.ended == list(range(1 + len(trial.branches)))
    assert given.notebook.left == [trial.number]


def test_what_the_frontier_was_made_of_is_pinned_as_it_moves(
    stage: NewStage, context: StudyContext, tmp_path: Path
) -> None:
    given = stage(branches=1, trials=12)
    trial = _next(given.tuner)
    pins = tmp_path / "kept" / "pins" / "digits"
    given.tuner.on_trial_result(trial.number, _complete())
    own = context.lineage.keys(trial.recipe, trial.seed)
    assert set(pins.read_text().split()) == own
    given.tuner.on_trial_end(trial.number, _with_branches(trial, 1, accuracy=0.95))
    branch = context.lineage.keys(trial.branches[0], trial.seed)
    assert set(pins.read_text().split()) == branch


def test_a_trial_that_lacked_memory_gets_half_the_batch_unless_another_has_that_recipe(
    stage: NewStage,
) -> None:
    given = stage(trials=12)
    first, second = _next(given.tuner), _next(given.tuner)
    smaller = [
        replace(one.recipe, training=replace(one.recipe.training, batch_size=8))
        for one in (first, second)
    ]
    assert given.sampler.expect(smaller[1])
    lacking = FailureRecord(kind=OUT_OF_MEMORY, message="it did not suffice")
    for trial in (first, second):
        given.tuner.on_trial_end(trial.number, Outcome(state=TrialState.FAILED, failure=lacking))
    again = _next(given.tuner)
    assert (again.number, again.recipe) == (first.number, smaller[0])
    assert given.store.trial("digits", second.number).state is TrialState.FAILED
    assert _next(given.tuner).number not in (first.number, second.number)


def test_pins_that_cannot_be_written_end_nothing(stage: NewStage, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    given = stage()
    trial = _next(given.tuner)
    given.tuner.on_trial_end(trial.number, _complete())
    assert given.store.trial("digits", trial.number).state is TrialState.COMPLETE
    assert given.notebook.ended == [trial.number]
    assert _next(given.tuner).number != trial.number


def test_a_process_that_dies_over_a_branch_leaves_what_was_told(stage: NewStage) -> None:
    given = stage(branches=3, trials=12, retries=1)
    trial = _next(given.tuner)
    given.tuner.on_trial_result(trial.number, _with_branches(trial, 1))
    given.tuner.on_trial_end(
        trial.number, None, FailureRecord(kind="process_died", message="killed")
    )
    states = [trial.state for trial in given.store.trials("digits")]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE]
    assert naming("trial 0", 1, len(trial.branches or ())).search(given.notebook.said[-1])
    assert _next(given.tuner).recipe != trial.recipe


def test_a_search_that_is_stopped_makes_no_more_branches(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    trial = _next(given.tuner)
    given.tuner.interrupt("stopping")
    assert given.tuner.on_trial_report(trial.number, _point(0, 0.5))
    assert not given.tuner.on_trial_result(trial.number, _complete())
    assert not given.tuner.on_trial_report(trial.number, _point(1, 0.5))


def test_what_runs_in_a_study_that_was_taken_over_is_stopped(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    trial = _next(given.tuner)
    assert given.tuner.on_trial_report(trial.number, _point(0, 0.5))
    given.tuner._end_with(StoreUnavailable("the store is away"))  # as when the network parts
    given.tuner.on_lease_lost(StudyHeld("digits was taken over"))
    assert given.tuner.is_over
    assert not given.tuner.on_trial_report(trial.number, _point(1, 0.5))
    given.tuner.on_trial_end(trial.number, None)
    # It is neither tried again nor recorded.
    assert given.notebook.said == ["the store is away", "digits was taken over"]
    assert given.store.trial("digits", trial.number).state is TrialState.RUNNING
    assert isinstance(given.tuner.fault, StudyHeld)


def test_a_branch_that_is_not_finite_fails_alone(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    trial = _next(given.tuner)
    given.tuner.on_trial_result(trial.number, _complete())
    assert given.tuner.on_trial_result(
        trial.number, _with_branches(trial, 1, accuracy=float("nan"))
    )
    own, branch = given.store.trials("digits", whole=True)
    assert own.state is TrialState.COMPLETE
    assert branch.state is TrialState.FAILED
    assert branch.outcome
    assert branch.outcome.failure
    assert branch.outcome.failure.kind == "non_finite"


def test_the_next_trial_is_chosen_while_branches_are_made_and_started_when_asked_for(
    stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stage(branches=1, trials=12)
    trial = _next(given.tuner)
    seen: list[Recipe | Outcome | None] = []
    ask_once = given.sampler.ask_once
    monkeypatch.setattr(given.sampler, "ask_once", lambda: seen.append(ask_once()) or seen[-1])
    given.tuner.look_ahead()
    assert seen == []
    given.tuner.on_trial_result(trial.number, _complete())
    for _ in range(2):
        given.tuner.look_ahead()
    assert len(seen) == 1
    assert [trial.number for trial in given.store.trials("digits")] == [0]
    given.tuner.on_trial_end(trial.number, _with_branches(trial, 1))
    following = _next(given.tuner)
    assert len(seen) == 1
    assert (following.number, following.recipe) == (2, seen[0])


def test_what_a_trial_taught_may_lead_to_a_recipe_where_none_was_found(
    stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stage(trials=12)
    first = _next(given.tuner)
    with monkeypatch.context() as patched:
        patched.setattr(given.sampler, "ask_once", lambda: None)
        assert given.tuner.next() is None
    assert given.tuner.next() is None  # nothing was learned since
    given.tuner.on_trial_end(first.number, _complete())
    assert given.tuner.next() is not None


def test_no_more_are_chosen_ahead_than_were_asked_for(
    stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stage(branches=1, trials=1)
    trial = _next(given.tuner)
    given.tuner.on_trial_result(trial.number, _complete())
    monkeypatch.setattr(given.sampler, "ask_once", lambda: pytest.fail("there is to be no other"))
    given.tuner.look_ahead()
    assert given.tuner.is_over
    assert given.tuner.next() is None


def test_a_space_that_is_used_up_ends_the_search_and_says_so(stage: NewStage) -> None:
    given = stage(trials=100)
    while (trial := given.tuner.next()) is not None:
        given.tuner.on_trial_end(trial.number, None)
    assert given.tuner.is_over
    assert len(given.store.trials("digits")) == 12
    (said,) = given.notebook.said
    assert naming("recipe").search(said)


def test_the_time_before_the_first_trial_does_not_count(stage: NewStage) -> None:
    given = stage(max_time="0.2s")
    time.sleep(0.3)  # workers start
    assert not given.tuner.is_over
    assert given.tuner.next() is not None
    time.sleep(0.3)
    assert given.tuner.is_over
    assert given.tuner.left_by_time == given.tuner.missing > 0


def test_after_the_time_is_up_nothing_starts(stage: NewStage) -> None:
    given = stage(max_time="1us")
    assert given.tuner.next() is None
    assert given.tuner.is_over
