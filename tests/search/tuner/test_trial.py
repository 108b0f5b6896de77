"""What is known of one trial, and how it is tried again."""

import pickle
from dataclasses import replace

import pytest

from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.records import Cost, EpochRecord, FailureRecord, Outcome, TrialState
from search.tuner.trial import Trial, TrialPhase
from spaces.distillation.labels import Labels
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

RECIPE = Recipe(
    student=Timm(model="test_resnet"),
    training=Standard(batch_size=32),
    distillation=Labels(),
    pruning=NoPruning(),
    quantization=Float32(),
)
BRANCH = replace(RECIPE, pruning=Magnitude(ratio=0.5))
COST: Cost = {"size_bytes": 1000, "parameters": 1, "macs": 1}
POINT = EpochRecord(stage="distil", epoch=0, loss=1.0, score=0.5, learning_rate=0.1)


@pytest.fixture
def running() -> Trial:
    """A trial with one branch, of which it is not known whether it fits the budget."""
    return Trial(number=3, recipe=RECIPE, seed=0).started(
        branches=(BRANCH,), doubtful=frozenset({BRANCH}), cost=COST, is_known_to_fit=True
    )


def _failure(kind: str) -> FailureRecord:
    return FailureRecord(kind=kind, message="it ended")


def test_a_started_trial_can_be_sent_to_a_worker(running: Trial) -> None:
    sent = pickle.dumps(running)
    assert pickle.loads(sent) == running  # noqa: S301  our own
    assert len(sent) < 10_000


def test_a_cost_that_may_not_fit_is_not_sent_to_the_worker(running: Trial) -> None:
    assert running.fitting_cost == COST
    assert replace(running, is_known_to_fit=False).fitting_cost is None


def test_a_process_that_died_is_given_the_same_again_as_often_as_retries_say(
    running: Trial,
) -> None:
    again = running.reported(POINT).next_try(_failure(PROCESS_DIED), retries=1)
    assert again is not None
    assert again.phase is TrialPhase.PROPOSED
    assert (again.recipe, again.branches, again.epochs) == (RECIPE, (BRANCH,), ())
    assert again.next_try(_failure(PROCESS_DIED), retries=1) is None


def test_memory_that_did_not_suffice_halves_the_batch_once_whatever_the_retries(
    running: Trial,
) -> None:
    again = running.next_try(_failure(OUT_OF_MEMORY), retries=0)
    assert again is not None
    assert again.recipe.training.batch_size == 16
    assert again.branches is None
    assert again.next_try(_failure(OUT_OF_MEMORY), retries=9) is None


def test_a_batch_that_the_method_can_not_halve_is_not_tried_again(running: Trial) -> None:
    least = replace(RECIPE, training=Standard(batch_size=2))
    smallest = replace(running, recipe=least)
    assert smallest.next_try(_failure(OUT_OF_MEMORY), retries=9) is None


@pytest.mark.parametrize("kind", ["ValueError", "timed_out"])
def test_any_other_failure_is_to_stand(running: Trial, kind: str) -> None:
    assert running.next_try(_failure(kind), retries=9) is None
    assert running.next_try(None, retries=9) is None


def test_a_stopped_trial_keeps_its_curve_and_predicted_cost_whatever_its_worker_says(
    running: Trial,
) -> None:
    stopped = running.reported(POINT, stop_reason="hopeless")
    outcome = stopped.final_outcome(Outcome(state=TrialState.COMPLETE), None)
    assert (outcome.state, outcome.reason) == (TrialState.STOPPED, "hopeless")
    assert (outcome.epochs, outcome.cost) == ((POINT,), COST)
