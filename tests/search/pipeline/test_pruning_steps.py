"""The training that a pruning asks for: its length, and its end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from search.cost_model.dry_run import dry_run
from search.evaluation.artifact import load_network
from search.objectives.counting import count_operations
from search.objectives.metrics import ACCURACY
from search.pipeline.pruning_steps import carry_out, leg_lengths
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
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.conftest import CLASSES, SIZE

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]


class _Teacher:
    """Its k-th training sets every weight to k, and ends at the k-th score."""

    def __init__(self, *scores: float) -> None:
        self._scores = scores
        self.lengths: list[int] = []

    def __call__(self, phase: TrainingPhase, epochs: int, place: int) -> Iterator[EpochRecord]:
        assert place == len(self.lengths)
        self.lengths.append(epochs)
        with torch.no_grad():
            for parameter in phase.network.parameters():
                parameter.fill_(place)
        for epoch in range(epochs):
            yield EpochRecord(
                stage=phase.stage,
                epoch=epoch,
                loss=0.0,
                score=self._scores[place],
                learning_rate=0.0,
            )


def _network() -> nn.Module:
    return Timm(model="test_resnet").build(classes=CLASSES, channels=1, image_size=SIZE)


def _asking(network: nn.Module, *shares: float) -> PruningSteps:
    for place, share in enumerate(shares):
        yield TrainingPhase.recovery(network, share, is_last=place == len(shares) - 1)
    return network, []


def _carried_out(
    steps: PruningSteps, context: StudyContext, teacher: _Teacher, *, epochs: int
) -> nn.Module:
    progress = carry_out(
        steps,
        epochs=epochs,
        recorder=TrialRecorder(context),
        validation=context.validation,
        train=teacher,
    )
    while True:
        try:
            next(progress)
        except StopIteration as end:
            network: nn.Module = end.value[0]
            return network


def _weights(network: nn.Module) -> set[float]:
    return {value for p in network.parameters() for value in p.detach().flatten().tolist()}


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [(0, []), (1, [1]), (5, [5]), (6, [3, 3]), (11, [3, 4, 4]), (30, [7, 8, 7, 8])],
)
def test_only_long_last_trainings_are_divided(epochs: int, lengths: Sequence[int]) -> None:
    assert leg_lengths(epochs, is_last=True) == lengths
    assert leg_lengths(epochs, is_last=False) == ([epochs] if epochs else [])


def test_recovery_goes_on_while_its_legs_gain(context: StudyContext) -> None:
    teacher = _Teacher(0.5, 0.6, 0.7)
    network = _carried_out(_asking(_network(), 0.9), context, teacher, epochs=10)
    assert teacher.lengths == [3, 3, 3]
    assert _weights(network) == {2.0}


def test_recovery_ends_with_the_leg_that_gained_nothing_which_is_undone(
    context: StudyContext,
) -> None:
    teacher = _Teacher(0.5, 0.6, 0.6, 0.9)
    network = _carried_out(_asking(_network(), 1.2), context, teacher, epochs=10)
    assert teacher.lengths == [3, 3, 3]
    assert _weights(network) == {1.0}


def test_a_leg_gains_by_the_metrics_direction(context: StudyContext) -> None:
    teacher = _Teacher(0.5, 0.4, 0.3)
    fewer = replace(ACCURACY, best=0.0, worst=1.0)
    network = _carried_out(
        _asking(_network(), 0.9), replace(context, metric=fewer), teacher, epochs=10
    )
    assert teacher.lengths == [3, 3, 3]
    assert _weights(network) == {2.0}


def test_shares_are_rounded_over_all_exercises(context: StudyContext) -> None:
    # Four times a tenth and a half of ten epochs: six, and not eight or four.
    teacher = _Teacher(0.5, 0.5, 0.5, 0.5)
    _carried_out(_asking(_network(), 0.15, 0.15, 0.15, 0.15), context, teacher, epochs=10)
    assert sum(teacher.lengths) == 6


def test_an_exercise_of_no_epochs_is_only_noted(context: StudyContext) -> None:
    recorder = TrialRecorder(context)
    steps, validation = _asking(_network(), 0.0), context.validation
    for _ in carry_out(
        steps, epochs=10, recorder=recorder, validation=validation, train=_Teacher()
    ):
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
    assert (after.cost["size_bytes"] < 0.95 * before["size_bytes"]) == pruning.shrinks.size
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
