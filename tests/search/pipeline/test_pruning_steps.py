"""The training that a pruning asks for: its length, and its end."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from search.cost_model.dry_run import dry_run
from search.evaluation.artifact import load_network
from search.objectives.counting import count_operations
from search.pipeline.pruning_steps import carry_out
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord, Outcome, TrialState
from search.targets.onnx_runtime import SERVED
from spaces import registry
from spaces.axes.pruning import Pruning, PruningSteps, TrainingPhase
from spaces.pruning.group_lasso import GroupLasso
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.pruning.taylor import Taylor
from spaces.quantization.int8_qat import Int8Qat
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.conftest import CLASSES, SIZE

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]


class _Teacher:
    """Records the epochs of each training."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def __call__(self, phase: TrainingPhase, epochs: int, place: int) -> Iterator[EpochRecord]:
        assert place == len(self.lengths)
        self.lengths.append(epochs)
        for epoch in range(epochs):
            yield EpochRecord(
                stage=phase.stage, epoch=epoch, loss=0.0, score=0.5, learning_rate=0.0
            )


def _network() -> nn.Module:
    return Timm(model="test_resnet").build(classes=CLASSES, channels=1, image_size=SIZE)


def _asking(network: nn.Module, *shares: float) -> PruningSteps:
    for share in shares:
        yield TrainingPhase.recovery(network, share)
    return network, []


def test_shares_are_rounded_over_all_exercises(context: StudyContext) -> None:
    # Four times a tenth and a half of ten epochs: six, and not eight or four.
    teacher = _Teacher()
    steps = _asking(_network(), 0.15, 0.15, 0.15, 0.15)
    for _ in carry_out(steps, epochs=10, recorder=TrialRecorder(context), train=teacher):
        pass
    assert sum(teacher.lengths) == 6


def test_an_exercise_of_no_epochs_is_only_noted(context: StudyContext) -> None:
    recorder = TrialRecorder(context)
    steps = _asking(_network(), 0.0)
    for _ in carry_out(steps, epochs=10, recorder=recorder, train=_Teacher()):
        pass
    assert [stage.name for stage in recorder.stages] == ["prune"]


def _run(recipe: Recipe, context: StudyContext) -> Outcome:
    outcome = finish(run_trial(recipe, context, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure or outcome.reason
    return outcome


def _file(outcome: Outcome, context: StudyContext) -> Path:
    assert outcome.artifact
    return context.artifacts.folder / outcome.artifact.path


# Each method cuts a plain network, and one that is harder to cut.
PRUNED = [
    (name, family)
    for place, name in enumerate(sorted(registry.methods("pruning").keys() - {"none"}))
    for family in ("test_resnet", ("test_efficientnet", "test_vit")[place % 2])
]


@pytest.mark.parametrize(("name", "family"), PRUNED)
def test_each_method_ships_what_it_says_it_shrinks(
    name: str, family: str, context: StudyContext, recipe: NewRecipe
) -> None:
    pruning = registry.method("pruning", name)()
    assert isinstance(pruning, Pruning)
    chosen = recipe(student=Timm(model=family), pruning=pruning)
    before = dry_run(replace(chosen, pruning=NoPruning()), context.requirements)
    after = _run(chosen, context)
    assert after.cost
    assert (after.cost["size_bytes"] < 0.96 * before["size_bytes"]) == pruning.shrinks.size
    assert (after.cost["macs"] < 0.95 * before["macs"]) == pruning.shrinks.macs
    folder = _file(after, context)
    assert (folder / SERVED).stat().st_size == after.cost["size_bytes"]
    again = load_network(folder)
    counts = count_operations(again, (1, SIZE, SIZE))
    assert counts.items() <= after.cost.items()


def test_rounds_train_in_between(context: StudyContext, recipe: NewRecipe) -> None:
    training = Standard(epochs=2, batch_size=16, warmup_epochs=0)
    pruning = Magnitude(ratio=0.5, rounds=2, recovery=1.0)
    outcome = _run(recipe(training=training, pruning=pruning), context)
    names = [stage.name for stage in outcome.stages]
    assert names[2:6] == ["prune", "recover", "prune", "recover"]
    sizes = [stage.cost["parameters"] for stage in outcome.stages if stage.name == "prune"]
    assert sizes[0] > sizes[1]
    recovery = [point.epoch for point in outcome.epochs if point.stage == "recover"]
    assert recovery == [0, 1]


def test_a_recovery_begins_half_way_to_the_trainings_last_epochs(
    context: StudyContext, recipe: NewRecipe
) -> None:
    training = Standard(epochs=4, batch_size=16, warmup_epochs=0, schedule="linear")
    outcome = _run(recipe(training=training, pruning=Magnitude(recovery=0.5)), context)
    rates = {
        stage: [point.learning_rate for point in outcome.epochs if point.stage == stage]
        for stage in ("distil", "recover")
    }
    highest = training.prepared_for(Timm(model="test_resnet")).learning_rate
    # After the epochs of a line of four, and of the last two of a line of three.
    assert rates["distil"] == pytest.approx([highest * left / 4 for left in (3, 2, 1, 0)])
    assert rates["recover"] == pytest.approx([highest * left / 3 for left in (1, 0)])


def test_a_tuning_begins_half_way_to_the_trainings_last_epochs_too(
    context: StudyContext, recipe: NewRecipe
) -> None:
    training = Standard(epochs=4, batch_size=16, warmup_epochs=0, schedule="linear")
    outcome = _run(recipe(training=training, quantization=Int8Qat(tuning=0.5)), context)
    rates = {
        stage: [point.learning_rate for point in outcome.epochs if point.stage == stage]
        for stage in ("distil", "tune")
    }
    highest = rates["distil"][0] * 4 / 3
    assert rates["tune"] == pytest.approx([highest * left / 3 for left in (1, 0)])


def test_a_sparsification_before_the_cut_has_a_whole_schedule(
    context: StudyContext, recipe: NewRecipe
) -> None:
    training = Standard(epochs=4, batch_size=16, warmup_epochs=0)
    pruning = GroupLasso(sparsify=0.5, recovery=0.25)
    outcome = _run(recipe(training=training, pruning=pruning), context)
    rates = {
        stage: [point.learning_rate for point in outcome.epochs if point.stage == stage]
        for stage in ("distil", "sparsify", "recover")
    }
    assert rates["sparsify"][0] > rates["distil"][2]
    assert rates["recover"][0] < rates["sparsify"][0]


def test_a_penalty_holds_while_its_exercise_lasts(context: StudyContext, recipe: NewRecipe) -> None:
    training = Standard(epochs=2, batch_size=16, warmup_epochs=0)
    losses = {}
    for strength in (1e-6, 1e-2):
        pruning = GroupLasso(sparsify=0.5, recovery=0.5, strength=strength)
        outcome = _run(recipe(training=training, pruning=pruning), context)
        assert [point.stage for point in outcome.epochs[2:]] == ["sparsify", "recover"]
        losses[strength] = outcome.epochs[2].loss
    assert losses[1e-2] > losses[1e-6] + 0.1


def test_the_loss_that_taylor_sees_is_of_training_images(
    context: StudyContext, recipe: NewRecipe
) -> None:
    # Global: so many channels stay in each layer as their gradients say.
    by_loss, by_size = (
        _run(recipe(pruning=method(scope="global", recovery=0.0)), context).cost
        for method in (Taylor, Magnitude)
    )
    assert by_loss
    assert by_size
    assert by_loss["parameters"] != by_size["parameters"]
