"""The training that a pruning asks for: its length, and its end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from search.artifacts.student import SERVED, load_network
from search.cost_model.dry_run import foresee_cost
from search.evaluation.measure import count_operations
from search.pipeline.pruning_steps import carry_out, leg_lengths
from search.pipeline.study_context import Task
from search.pipeline.trial import finish, run_trial
from search.pipeline.trial_recorder import Notes
from search.records import EpochRecord, Outcome, TrialState
from spaces import catalogue
from spaces.axes.pruning import Exercise, Operation, Pruning
from spaces.pruning.group_lasso import GroupLasso
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.pruning.taylor import Taylor
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.conftest import CLASSES, SIZE

NewRecipe = Callable[..., Recipe]


class _Teacher:
    """Its k-th training sets every weight to k, and ends at the k-th accuracy."""

    def __init__(self, *accuracies: float) -> None:
        self._accuracies = accuracies
        self.lengths: list[int] = []

    def __call__(self, exercise: Exercise, epochs: int, place: int) -> Iterator[EpochRecord]:
        assert place == len(self.lengths)
        self.lengths.append(epochs)
        with torch.no_grad():
            for parameter in exercise.network.parameters():
                parameter.fill_(place)
        for epoch in range(epochs):
            yield EpochRecord(
                stage=exercise.stage,
                epoch=epoch,
                loss=0.0,
                accuracy=self._accuracies[place],
                learning_rate=0.0,
            )


def _network() -> nn.Module:
    return Timm(model="test_resnet").build(classes=CLASSES, channels=1, image_size=SIZE)


def _asking(network: nn.Module, *shares: float) -> Operation:
    for place, share in enumerate(shares):
        yield Exercise.recovery(network, share, is_last=place == len(shares) - 1)
    return network, []


def _carried_out(operation: Operation, task: Task, teacher: _Teacher, *, epochs: int) -> nn.Module:
    progress = carry_out(operation, epochs=epochs, notes=Notes(task), teach=teacher)
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


def test_recovery_goes_on_while_its_legs_gain(task: Task) -> None:
    teacher = _Teacher(0.5, 0.6, 0.7)
    network = _carried_out(_asking(_network(), 0.9), task, teacher, epochs=10)
    assert teacher.lengths == [3, 3, 3]
    assert _weights(network) == {2.0}


def test_recovery_ends_with_the_leg_that_gained_nothing_which_is_undone(task: Task) -> None:
    teacher = _Teacher(0.5, 0.6, 0.6, 0.9)
    network = _carried_out(_asking(_network(), 1.2), task, teacher, epochs=10)
    assert teacher.lengths == [3, 3, 3]
    assert _weights(network) == {1.0}


def test_shares_are_rounded_over_all_exercises(task: Task) -> None:
    # Four times a tenth and a half of ten epochs: six, and not eight or four.
    teacher = _Teacher(0.5, 0.5, 0.5, 0.5)
    _carried_out(_asking(_network(), 0.15, 0.15, 0.15, 0.15), task, teacher, epochs=10)
    assert sum(teacher.lengths) == 6


def test_an_exercise_of_no_epochs_is_only_noted(task: Task) -> None:
    notes = Notes(task)
    for _ in carry_out(_asking(_network(), 0.0), epochs=10, notes=notes, teach=_Teacher()):
        pass
    assert [stage.name for stage in notes.stages] == ["prune"]


def _run(recipe: Recipe, task: Task) -> Outcome:
    outcome = finish(run_trial(recipe, task, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure or outcome.reason
    return outcome


def _file(outcome: Outcome, task: Task) -> Path:
    assert outcome.artifact
    return task.artifacts.folder / outcome.artifact.path


# Each method cuts a plain network, and one that is harder to cut.
PRUNED = [
    (name, family)
    for place, name in enumerate(sorted(catalogue.methods("pruning").keys() - {"none"}))
    for family in ("test_resnet", ("test_efficientnet", "test_vit")[place % 2])
]


@pytest.mark.parametrize(("name", "family"), PRUNED)
def test_each_method_ships_what_it_says_it_shrinks(
    name: str, family: str, task: Task, recipe: NewRecipe
) -> None:
    pruning = catalogue.method("pruning", name)()
    assert isinstance(pruning, Pruning)
    chosen = recipe(student=Timm(model=family), pruning=pruning)
    before = foresee_cost(replace(chosen, pruning=NoPruning()), task.brief)
    after = _run(chosen, task)
    assert after.cost
    assert (after.cost.size_bytes < 0.95 * before.size_bytes) == pruning.shrinks.size
    assert (after.cost.macs < 0.95 * before.macs) == pruning.shrinks.macs
    folder = _file(after, task)
    assert (folder / SERVED).stat().st_size == after.cost.size_bytes
    again = load_network(folder)
    counts = count_operations(again, (1, SIZE, SIZE))
    assert counts == (after.cost.parameters, after.cost.macs)


def test_rounds_train_in_between(task: Task, recipe: NewRecipe) -> None:
    training = Standard(epochs=2, batch_size=16, warmup_epochs=0)
    pruning = Magnitude(ratio=0.5, rounds=2, recovery=1.0)
    outcome = _run(recipe(training=training, pruning=pruning), task)
    names = [stage.name for stage in outcome.stages]
    assert names[2:6] == ["prune", "recover", "prune", "recover"]
    sizes = [stage.parameters for stage in outcome.stages if stage.name == "prune"]
    assert sizes[0] is not None
    assert sizes[1] is not None
    assert sizes[0] > sizes[1]
    recovery = [point.epoch for point in outcome.epochs if point.stage == "recover"]
    assert recovery == [0, 1]


def test_a_penalty_holds_while_its_exercise_lasts(task: Task, recipe: NewRecipe) -> None:
    training = Standard(epochs=2, batch_size=16, warmup_epochs=0)
    losses = {}
    for strength in (1e-6, 1e-2):
        pruning = GroupLasso(sparsify=0.5, recovery=0.5, strength=strength)
        outcome = _run(recipe(training=training, pruning=pruning), task)
        assert [point.stage for point in outcome.epochs[2:]] == ["sparsify", "recover"]
        losses[strength] = outcome.epochs[2].loss
    assert losses[1e-2] > losses[1e-6] + 0.1


def test_the_loss_that_taylor_sees_is_of_training_images(task: Task, recipe: NewRecipe) -> None:
    # Global: so many channels stay in each layer as their gradients say.
    by_loss, by_size = (
        _run(recipe(pruning=method(scope="global", recovery=0.0)), task).cost
        for method in (Taylor, Magnitude)
    )
    assert by_loss
    assert by_size
    assert by_loss.parameters != by_size.parameters
