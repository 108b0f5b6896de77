"""Making a student: the stages in which its network is trained, pruned and tuned.

A stage that was computed before is taken over; one that was cut off goes on from its checkpoint.
"""

import copy
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from search.pipeline.pruning_steps import carry_out
from search.pipeline.stage_cache import Stage
from search.pipeline.study_context import Task
from search.pipeline.trial_recorder import Notes
from search.records import TRAINING, EpochRecord
from search.training.trainer import Course, sample_losses, train
from spaces.axes.distillation import Needs
from spaces.axes.pruning import Cut, Exercise
from spaces.cutting.cuts import replay_cuts
from spaces.distillation.labels import Labels
from spaces.recipe import Recipe
from spaces.shrinks import NOTHING

# Of training images, on which prunings that ask for it see what weights are worth.
_WEIGHED_BATCHES = 8


@dataclass(frozen=True)
class Made:
    """A network that stages have made, and what was cut out of it."""

    network: nn.Module
    cuts: Sequence[Cut]


# Gives the learning curve's points, and returns what was made.
Making = Generator[EpochRecord, None, Made]


@dataclass(frozen=True)
class Maker:
    """Makes students of recipes.

    Attributes:
        task: what they are made for.
        seed: of weights, order and dropout.
    """

    task: Task
    seed: int

    def train(self, recipe: Recipe, notes: Notes) -> Making:
        """The recipe's student after its training, unless it was trained before."""
        key = self.task.lineage.training_key(recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, recipe, notes))
        before = notes.branch()
        torch.manual_seed(self.seed)
        network = self.task.brief.build(recipe.student)
        course = self._course(TRAINING, recipe, epochs=recipe.training.epochs)
        yield from self._teach(network, course, notes, key=key)
        notes.end_stage(TRAINING, network, accuracy=notes.epochs[-1].accuracy)
        self.task.stages.write(key, notes.since(before, network, cuts=()))
        return Made(network, ())

    def prune(self, trained: Made, recipe: Recipe, notes: Notes) -> Making:
        """The student pruned as `recipe` says and recovered, unless that was done before."""
        key = self.task.lineage.pruning_key(recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, recipe, notes))
        before = notes.branch()
        brief, pruning = self.task.brief, recipe.pruning
        losses = partial(self._losses, recipe=recipe)
        operation = pruning.operate(trained.network, brief.example(), losses=losses)
        pruned, cuts = yield from carry_out(
            operation,
            epochs=recipe.training.epochs,
            notes=notes,
            teach=lambda exercise, epochs, place: self._exercised(
                exercise,
                self._course(exercise.stage, recipe, epochs=epochs),
                notes,
                key=key,
                place=place,
            ),
        )
        if pruning.shrinks != NOTHING:
            self.task.stages.write(key, notes.since(before, pruned, cuts=cuts))
        return Made(pruned, cuts)

    def tune(self, pruned: Made, recipe: Recipe, notes: Notes) -> Making:
        """The student trained on under its number format's rounding, if that asks for it."""
        if not recipe.quantization.tuning_share:
            return pruned
        key = self.task.lineage.tuning_key(recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, recipe, notes))
        before = notes.branch()
        network = copy.deepcopy(pruned.network)
        epochs = max(1, round(recipe.training.epochs * recipe.quantization.tuning_share))
        with recipe.quantization.rounded(network, self.task.brief.example()):
            course = self._course("tune", recipe, epochs=epochs)
            yield from self._teach(network, course, notes, key=key)
        # What it came to under the rounding: without it, it is no student that anybody gets.
        notes.end_stage("tune", network, accuracy=notes.epochs[-1].accuracy)
        self.task.stages.write(key, notes.since(before, network, cuts=pruned.cuts))
        return Made(network, pruned.cuts)

    def _taken_over(self, stage: Stage, recipe: Recipe, notes: Notes) -> Making:
        """What was computed before, as if it had been computed now."""
        network = self.task.brief.build(recipe.student, blank=True)
        replay_cuts(network, self.task.brief.example(), stage.cuts)
        network.load_state_dict(stage.weights)
        notes.take_over(stage)
        yield from stage.epochs
        return Made(network, stage.cuts)

    def _teach(
        self, network: nn.Module, course: Course, notes: Notes, *, key: str
    ) -> Iterator[EpochRecord]:
        """Puts the network through the course, in place."""
        course = replace(course, checkpoint=self.task.stages.checkpoint(key))
        yield from self._followed(network, course, notes)

    def _exercised(
        self, exercise: Exercise, course: Course, notes: Notes, *, key: str, place: int
    ) -> Iterator[EpochRecord]:
        """The exercise's course; epochs of its stage are counted on from those before."""
        course = replace(
            course,
            checkpoint=self.task.stages.checkpoint(key, place),
            seed=self.seed + place,
            penalty=exercise.penalty,
            constraint=exercise.constraint,
        )
        yield from self._followed(exercise.network, course, notes)

    def _followed(self, network: nn.Module, course: Course, notes: Notes) -> Iterator[EpochRecord]:
        before = sum(point.stage == course.stage for point in notes.epochs)
        for point in train(network, self.task.dataset, course):
            counted = replace(point, epoch=before + point.epoch)
            notes.epochs.append(counted)
            yield counted
        network.cpu()

    def _course(self, stage: str, recipe: Recipe, *, epochs: int) -> Course:
        """So many epochs of the recipe's training and distillation."""
        needs = recipe.distillation.needs
        return Course(
            stage=stage,
            training=recipe.training,
            distillation=recipe.distillation,
            epochs=epochs,
            views=self.task.views,
            targets=self.task.targets if needs is Needs.LOGITS else None,
            teachers=self.task.teachers() if needs is Needs.FEATURES else (),
            seed=self.seed,
            device=self.task.device,
        )

    def _losses(self, network: nn.Module, *, recipe: Recipe) -> Iterator[Tensor]:
        """What the network loses on a few batches of training images, nothing of which is random.

        Projectors of features are gone with the training: labels stand for what they compared.
        """
        plain = replace(recipe.training, mixup=0.0, cutmix=0.0, erasing=0.0)
        course = replace(self._course("weigh", recipe, epochs=1), training=plain)
        if course.teachers:
            course = replace(course, distillation=Labels(), teachers=())
        return sample_losses(network, self.task.dataset, course, batches=_WEIGHED_BATCHES)
