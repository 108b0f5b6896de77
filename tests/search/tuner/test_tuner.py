"""The driver of a search: real store, real sampler, real networks; no Ray."""

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
from search.samplers.optuna_adapter import Proposal, Sampler
from search.storage.artifact_owner import Claim
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.dispatch import Dispatch
from search.tuner.early_stopping import EarlyStopping
from search.tuner.learners import Learners
from search.tuner.pinning import FrontierPins
from search.tuner.tuner import Tuner
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
    driver: Tuner
    store: Store
    notebook: _Notebook
    sampler: Sampler


NewStage = Callable[..., _Stage]


@pytest.fixture
def stage(context: StudyContext, store: Store, tmp_path: Path) -> NewStage:
    """Gives a driver of a study named `digits`, with the search's settings that are named."""

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
        feasibility = Feasibility(requirements, CostTable(), timed=False)
        writer = RetryingWriter(
            store, "digits", Claim(FolderStore.of(tmp_path / "digits"), hold="")
        )
        gate = CostGate(feasibility, writer=writer, seed=0, callback=notebook)
        sampler = Sampler(study.search_space(), name="random", seed=0, gate=gate)
        pins = FrontierPins(
            "digits", DEFAULT_GOAL, context.lineage, StageCache(tmp_path / "kept", limit_bytes=1)
        )
        learners = Learners(sampler, gate, early_stopping, pins)
        driver = Tuner(study, learners=learners, writer=writer, callback=notebook)
        return _Stage(driver, store, notebook, sampler)

    return make


def _next(driver: Tuner) -> Dispatch:
    dispatch = driver.next()
    assert dispatch is not None
    return dispatch


def _point(epoch: int, accuracy: float) -> EpochRecord:
    return EpochRecord(stage="distil", epoch=epoch, loss=1.0, score=accuracy, learning_rate=1e-3)


def test_a_trial_is_on_record_before_it_is_dispatched(stage: NewStage) -> None:
    given = stage()
    dispatch = _next(given.driver)
    trial = given.store.trial("digits", dispatch.number)
    assert trial.state is TrialState.RUNNING
    assert trial.params == dispatch.recipe.to_params()


def test_no_more_trials_are_dispatched_than_were_asked_for(stage: NewStage) -> None:
    given = stage(trials=2)
    first, _ = _next(given.driver), _next(given.driver)
    assert given.driver.next() is None
    assert not given.driver.is_over
    given.driver.end(first.number, Outcome(state=TrialState.INFEASIBLE, reason="too slow"))
    _next(given.driver)


def test_it_is_over_once_enough_were_trained(stage: NewStage) -> None:
    given = stage(trials=1)
    given.driver.end(_next(given.driver).number, None)
    assert given.driver.is_over
    assert given.driver.next() is None


def test_a_trial_without_a_word_of_its_own_failed(stage: NewStage) -> None:
    given = stage()
    number = _next(given.driver).number
    given.driver.advance(number, _point(0, 0.5))
    given.driver.end(number, None)
    trial = given.store.trial("digits", number)
    assert trial.outcome
    assert trial.outcome.failure
    assert trial.outcome.failure.kind == "process_died"
    assert trial.outcome.epochs == (_point(0, 0.5),)


def test_a_hopeless_trial_is_recorded_as_stopped_with_its_curve(stage: NewStage) -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    given = stage(early_stopping=early_stopping, trials=4)
    free = cost(size_bytes=1, parameters=1, macs=1)
    for number in (100, 101, 102):
        early_stopping.should_stop(number, share=0.25, utility=0.8, cost=free)
        early_stopping.finish(number, replace(_complete(), cost=free))
    dispatch = _next(given.driver)
    assert not given.driver.advance(dispatch.number, _point(0, 0.3))
    given.driver.end(dispatch.number, None)
    trial = given.store.trial("digits", dispatch.number)
    assert trial.state is TrialState.STOPPED
    assert trial.outcome
    assert trial.outcome.quality is None
    assert trial.outcome.epochs == (_point(0, 0.3),)
    assert "trial 100" in (trial.outcome.reason or "")


def test_branches_that_were_not_made_may_be_proposed(stage: NewStage) -> None:
    given = stage(branches=1, trials=100)
    under_way = []
    while (dispatch := given.driver.next()) is not None:
        under_way.append(dispatch)
    assert not given.driver.is_over
    stopped = next(dispatch for dispatch in under_way if dispatch.branches)
    given.driver.end(stopped.number, None)
    assert _next(given.driver).recipe in stopped.branches


def test_branches_are_trials_with_a_parent_and_are_not_proposed_again(
    stage: NewStage, context: StudyContext
) -> None:
    given = stage(branches=1, trials=12)
    dispatch = _next(given.driver)
    assert len(dispatch.branches) == 1
    assert not given.sampler.expect(dispatch.branches[0])
    trial = run_trial(
        dispatch.recipe,
        context,
        number=dispatch.number,
        seed=dispatch.seed,
        foreseen=dispatch.foreseen,
        branches=dispatch.branches,
    )
    given.driver.end(dispatch.number, finish(trial))
    branch = given.store.trial("digits", dispatch.number + 1)
    assert branch.parent == dispatch.number
    assert branch.params == dispatch.branches[0].to_params()
    assert branch.state is TrialState.COMPLETE
    assert given.notebook.ended == [dispatch.number, branch.number]


def _complete(accuracy: float = 0.9) -> Outcome:
    return Outcome(
        state=TrialState.COMPLETE,
        quality=quality(accuracy=accuracy, agreement=0.8),
        cost=cost(size_bytes=1000, parameters=1, macs=1, latency_ms=0.5),
    )


def _with_branches(dispatch: Dispatch, count: int, accuracy: float = 0.9) -> Outcome:
    made = (
        Branch(params=recipe.to_params(), outcome=_complete(accuracy))
        for recipe in dispatch.branches[:count]
    )
    return replace(_complete(), branches=tuple(made))


def test_a_trial_and_each_of_its_branches_is_on_record_once_it_is_known(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    dispatch = _next(given.driver)
    assert dispatch.branches
    for made in range(len(dispatch.branches)):
        assert given.driver.hear(dispatch.number, _with_branches(dispatch, made))
        assert len(given.store.trials("digits")) == 1 + made
        assert given.notebook.ended == list(range(1 + made))
    assert given.store.trial("digits", 0).state is TrialState.COMPLETE
    given.driver.end(dispatch.number, _with_branches(dispatch, len(dispatch.branches)))
    assert given.notebook.ended == list(range(1 + len(dispatch.branches)))
    assert given.notebook.left == [dispatch.number]


def test_what_the_frontier_was_made_of_is_pinned_as_it_moves(
    stage: NewStage, context: StudyContext, tmp_path: Path
) -> None:
    given = stage(branches=1, trials=12)
    dispatch = _next(given.driver)
    pins = tmp_path / "kept" / "pins" / "digits"
    given.driver.hear(dispatch.number, _complete())
    own = context.lineage.keys(dispatch.recipe, dispatch.seed)
    assert set(pins.read_text().split()) == own
    given.driver.end(dispatch.number, _with_branches(dispatch, 1, accuracy=0.95))
    branch = context.lineage.keys(dispatch.branches[0], dispatch.seed)
    assert set(pins.read_text().split()) == branch


def test_a_trial_that_lacked_memory_gets_half_the_batch_unless_another_has_that_recipe(
    stage: NewStage,
) -> None:
    given = stage(trials=12)
    first, second = _next(given.driver), _next(given.driver)
    smaller = [
        replace(one.recipe, training=replace(one.recipe.training, batch_size=8))
        for one in (first, second)
    ]
    assert given.sampler.expect(smaller[1])
    lacking = FailureRecord(kind=OUT_OF_MEMORY, message="it did not suffice")
    for dispatch in (first, second):
        given.driver.end(dispatch.number, Outcome(state=TrialState.FAILED, failure=lacking))
    again = _next(given.driver)
    assert (again.number, again.recipe) == (first.number, smaller[0])
    assert given.store.trial("digits", second.number).state is TrialState.FAILED
    assert _next(given.driver).number not in (first.number, second.number)


def test_pins_that_cannot_be_written_end_nothing(stage: NewStage, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    given = stage()
    dispatch = _next(given.driver)
    given.driver.end(dispatch.number, _complete())
    assert given.store.trial("digits", dispatch.number).state is TrialState.COMPLETE
    assert given.notebook.ended == [dispatch.number]
    assert _next(given.driver).number != dispatch.number


def test_a_process_that_dies_over_a_branch_leaves_what_was_told(stage: NewStage) -> None:
    given = stage(branches=3, trials=12, retries=1)
    dispatch = _next(given.driver)
    given.driver.hear(dispatch.number, _with_branches(dispatch, 1))
    given.driver.end(dispatch.number, None, FailureRecord(kind="process_died", message="killed"))
    states = [trial.state for trial in given.store.trials("digits")]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE]
    assert naming("trial 0", 1, len(dispatch.branches)).search(given.notebook.said[-1])
    assert _next(given.driver).recipe != dispatch.recipe


def test_a_search_that_is_stopped_makes_no_more_branches(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    dispatch = _next(given.driver)
    given.driver.interrupt("stopping")
    assert given.driver.advance(dispatch.number, _point(0, 0.5))
    assert not given.driver.hear(dispatch.number, _complete())
    assert not given.driver.advance(dispatch.number, _point(1, 0.5))


def test_what_runs_in_a_study_that_was_taken_over_is_stopped(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    dispatch = _next(given.driver)
    assert given.driver.advance(dispatch.number, _point(0, 0.5))
    given.driver._give_up(StoreUnavailable("the store is away"))  # as when the network parts
    given.driver.lose(StudyHeld("digits was taken over"))
    assert given.driver.is_over
    assert not given.driver.advance(dispatch.number, _point(1, 0.5))
    given.driver.end(dispatch.number, None)
    # It is neither tried again nor recorded.
    assert given.notebook.said == ["the store is away", "digits was taken over"]
    assert given.store.trial("digits", dispatch.number).state is TrialState.RUNNING
    assert isinstance(given.driver.fault, StudyHeld)


def test_a_branch_that_is_not_finite_fails_alone(stage: NewStage) -> None:
    given = stage(branches=3, trials=12)
    dispatch = _next(given.driver)
    given.driver.hear(dispatch.number, _complete())
    assert given.driver.hear(dispatch.number, _with_branches(dispatch, 1, accuracy=float("nan")))
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
    dispatch = _next(given.driver)
    seen: list[Proposal | Outcome | None] = []
    look = given.sampler.look
    monkeypatch.setattr(given.sampler, "look", lambda: seen.append(look()) or seen[-1])
    given.driver.look_ahead()
    assert seen == []
    given.driver.hear(dispatch.number, _complete())
    for _ in range(2):
        given.driver.look_ahead()
    assert len(seen) == 1
    assert [trial.number for trial in given.store.trials("digits")] == [0]
    given.driver.end(dispatch.number, _with_branches(dispatch, 1))
    following = _next(given.driver)
    assert len(seen) == 1
    assert isinstance(seen[0], Proposal)
    assert (following.number, following.recipe) == (2, seen[0].recipe)


def test_what_a_trial_taught_may_lead_to_a_recipe_where_none_was_found(
    stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stage(trials=12)
    first = _next(given.driver)
    with monkeypatch.context() as patched:
        patched.setattr(given.sampler, "look", lambda: None)
        assert given.driver.next() is None
    assert given.driver.next() is None  # nothing was learned since
    given.driver.end(first.number, _complete())
    assert given.driver.next() is not None


def test_no_more_are_chosen_ahead_than_were_asked_for(
    stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stage(branches=1, trials=1)
    dispatch = _next(given.driver)
    given.driver.hear(dispatch.number, _complete())
    monkeypatch.setattr(given.sampler, "look", lambda: pytest.fail("there is to be no other"))
    given.driver.look_ahead()
    assert given.driver.is_over
    assert given.driver.next() is None


def test_a_space_that_is_used_up_ends_the_search_and_says_so(stage: NewStage) -> None:
    given = stage(trials=100)
    while (dispatch := given.driver.next()) is not None:
        given.driver.end(dispatch.number, None)
    assert given.driver.is_over
    assert len(given.store.trials("digits")) == 12
    (said,) = given.notebook.said
    assert naming("recipe").search(said)


def test_after_the_time_is_up_nothing_is_dispatched(stage: NewStage) -> None:
    given = stage(max_time="1us")
    assert given.driver.next() is None
    assert given.driver.is_over
