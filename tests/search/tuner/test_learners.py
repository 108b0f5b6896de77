"""What a resumed study learns of the trials that its store holds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from search.config.study import Study
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.gate import CostGate
from search.errors import StoreError
from search.files.filestore import FolderStore
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.progress import SilentCallback
from search.records import (
    TRAINING,
    Cost,
    EpochRecord,
    Measurement,
    Outcome,
    TrialRecord,
    TrialState,
)
from search.samplers.optuna_adapter import Sampler
from search.storage.artifact_owner import Claim
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.early_stopping import EarlyStopping
from search.tuner.learners import Learners
from search.tuner.pinning import FrontierPins
from spaces.distillation.labels import Labels
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.measured import cost, quality
from tests.messages import naming

# All that there is to propose: the recipes of these batch sizes.
BATCHES = (16, 32, 64, 128, 256)
STUDY = {
    "study": "digits",
    "data": {"source": "digits"},
    "teacher": {"model": "test_resnet", "train": {}},
    "space": {
        "student": {"timm": {"model": "test_resnet"}},
        "training": {"standard": {"epochs": 4, "batch_size": list(BATCHES)}},
        "distillation": "labels",
        "pruning": "none",
        "quantization": "float32",
    },
}
COST = cost(size_bytes=1000, parameters=1, macs=1, latency_ms=0.5)


def _recipe(batch: int) -> Recipe:
    return Recipe(
        student=Timm(model="test_resnet"),
        training=Standard(epochs=4, batch_size=batch),
        distillation=Labels(),
        pruning=NoPruning(),
        quantization=Float32(),
    )


def _outcome(accuracy: float, cost: Cost = COST) -> Outcome:
    """Complete, from 80% after a quarter of the training."""
    return Outcome(
        state=TrialState.COMPLETE,
        quality=quality(accuracy=accuracy, agreement=accuracy),
        cost=cost,
        epochs=(
            EpochRecord(stage=TRAINING, epoch=0, loss=1.0, score=0.8, learning_rate=0.1),
            EpochRecord(stage="recover", epoch=0, loss=1.0, score=0.1, learning_rate=0.1),
        ),
    )


def _trial(number: int, outcome: Outcome | None, parent: int | None = None) -> TrialRecord:
    now = datetime.now(UTC)
    return TrialRecord(
        study="digits",
        number=number,
        state=outcome.state if outcome else TrialState.INTERRUPTED,
        params=_recipe(BATCHES[number]).to_params(),
        seed=7,
        started_at=now,
        finished_at=now if outcome else None,
        outcome=outcome,
        parent=parent,
    )


@pytest.fixture
def trials() -> Sequence[TrialRecord]:
    """Three that ended, a branch of the first, cheaper and more accurate, and one under way."""
    branch = _outcome(0.95, {**COST, "size_bytes": 500})
    ended = [_trial(number, _outcome(0.9)) for number in range(3)]
    return [*ended, _trial(3, branch, parent=0), _trial(4, None)]


@pytest.fixture
def learners(context: StudyContext, store: Store, tmp_path: Path) -> Learners:
    """Those of a study that has just been begun."""
    writer = RetryingWriter(store, "digits", Claim(FolderStore.of(tmp_path / "digits"), hold=""))
    feasibility = Feasibility(context.requirements, CostTable(), timed=False)
    return Learners(
        Sampler(Study.model_validate(STUDY).search_space(), name="random", seed=0),
        CostGate(feasibility, writer=writer, seed=0, callback=SilentCallback()),
        EarlyStopping(DEFAULT_GOAL),
        FrontierPins(
            "digits", DEFAULT_GOAL, context.lineage, StageCache(tmp_path / "kept", limit_bytes=1)
        ),
    )


def test_what_was_under_way_is_to_be_run_again(
    learners: Learners, trials: Sequence[TrialRecord]
) -> None:
    past = learners.recall(trials)
    assert past.trained == 3
    assert [one.number for one in past.interrupted] == [4]
    assert past.interrupted[0].recipe == _recipe(BATCHES[4])
    assert past.interrupted[0].seed == 7


def test_no_trial_is_proposed_again(learners: Learners, trials: Sequence[TrialRecord]) -> None:
    learners.recall(trials[:4])
    assert learners.sampler.ask() == _recipe(BATCHES[4])
    assert learners.sampler.ask() is None


def test_a_branch_is_its_trials_student_and_has_no_curve(
    learners: Learners, trials: Sequence[TrialRecord]
) -> None:
    learners.recall(trials)
    assert learners.early_stopping
    reason = learners.early_stopping.should_stop(9, share=0.25, utility=0.8, cost=COST)
    # As those three: from 80% to 90%. The branch's curve, to 95%, would have given more hope.
    assert reason is not None
    assert naming("80.00%", "25%", "trial 0", "95.00%").search(reason)


def test_the_frontier_is_pinned(
    learners: Learners, trials: Sequence[TrialRecord], context: StudyContext, tmp_path: Path
) -> None:
    learners.recall(trials)
    pinned = (tmp_path / "kept" / "pins" / "digits").read_text().split()
    assert set(pinned) == context.lineage.keys(_recipe(BATCHES[3]), 7)


def test_a_recipe_of_another_version_says_what_to_do(learners: Learners) -> None:
    strange = replace(_trial(0, _outcome(0.9)), params={"student": "of the future"})
    with pytest.raises(StoreError, match=naming("trial 0", "digits", "'of the future'")):
        learners.recall([strange])


def test_the_values_with_floors_of_stored_trials_are_learned(
    learners: Learners, trials: Sequence[TrialRecord]
) -> None:
    floors = Budget.model_validate({"recall": {"stop": 0.9}}).floors()
    known = replace(learners, early_stopping=EarlyStopping(DEFAULT_GOAL, floors))
    found = {"recall.stop": Measurement(0.95, 0.01)}
    complete = [
        replace(
            one,
            outcome=replace(
                one.outcome,
                quality={**one.outcome.quality, **found},
                epochs=tuple(
                    replace(point, floors={"recall.stop": 0.9}) for point in one.outcome.epochs
                ),
            ),
        )
        if one.outcome is not None and one.state is TrialState.COMPLETE
        else one
        for one in trials
    ]
    known.recall(complete)
    assert known.early_stopping
    hopeless = {"recall.stop": 0.1}
    reason = known.early_stopping.should_stop(
        9, share=0.25, utility=0.99, cost=COST, floors=hopeless
    )
    told = known.early_stopping.should_stop(
        10, share=0.25, utility=0.99, cost=COST, floors={"recall.stop": 0.9}
    )
    assert reason is not None
    assert told is None
