"""Builds a student: the stages that train, prune and tune its network.

A stage that was computed before is read from the cache. An interrupted stage continues from its
checkpoint.
"""

import copy
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from search.pipeline.pruning_steps import carry_out, skipped_epochs
from search.pipeline.stage_cache import Stage
from search.pipeline.study_context import StudyContext
from search.pipeline.trial_recorder import TrialRecorder
from search.records import TRAINING, EpochRecord
from search.training.trainer import sample_losses, train
from search.training.training_plan import TrainingPlan
from spaces.axes.distillation import Needs
from spaces.axes.pruning import Cut, TrainingPhase
from spaces.distillation.labels import Labels
from spaces.pruning.structured.cuts import replay_cuts
from spaces.recipe import Recipe
from spaces.shrinks import NOTHING

# Bump one when the training plan of its stage changes. pruning_steps.VERSION covers `prune`.
TRAINING_VERSION = 1
TUNING_VERSION = 2

# Batches of training images on which some prunings measure the importance of each weight.
_IMPORTANCE_BATCHES = 8


@dataclass(frozen=True)
class BuiltStudent:
    """A network after some stages, and the channels that were cut from it."""

    network: nn.Module
    cuts: Sequence[Cut]


# Yields the learning curve's points, and returns the student.
Building = Generator[EpochRecord, None, BuiltStudent]


@dataclass(frozen=True)
class StudentBuilder:
    """Builder of students from recipes.

    Attributes:
        context: the context that the study's trials share.
        seed: the seed of initial weights, of the order of images, and of dropout.
    """

    context: StudyContext
    seed: int

    def train(self, recipe: Recipe, recorder: TrialRecorder) -> Building:
        """Train the recipe's student, or read the trained student from the cache.

        A student that starts with the teacher's weights is only measured.
        """
        key = self.context.lineage.training_key(recipe, self.seed)
        if stage := self.context.stages.read(key):
            return (yield from self._reuse(stage, recipe, recorder))
        before = recorder.branch()
        torch.manual_seed(self.seed)
        student = recipe.student
        network = self.context.requirements.build(student, weights=self.context.weights(student))
        if student.starts_trained:
            recorder.end_stage(TRAINING, network)
        else:
            plan = self._plan(TRAINING, recipe, epochs=recipe.training.epochs)
            yield from self._train(network, plan, recorder, key=key)
            recorder.end_stage(TRAINING, network, score=recorder.epochs[-1].score)
        self.context.stages.write(key, recorder.since(before, network, cuts=()))
        return BuiltStudent(network, ())

    def prune(self, trained: BuiltStudent, recipe: Recipe, recorder: TrialRecorder) -> Building:
        """Prune the student by `recipe` and recover it, or read the result from the cache."""
        key = self.context.lineage.pruning_key(recipe, self.seed)
        if stage := self.context.stages.read(key):
            return (yield from self._reuse(stage, recipe, recorder))
        before = recorder.branch()
        requirements, pruning = self.context.requirements, recipe.pruning
        losses = partial(self.losses, recipe=recipe)
        steps = pruning.prune_in_steps(trained.network, requirements.example(), losses=losses)
        pruned, cuts = yield from carry_out(
            steps,
            epochs=recipe.training.epochs,
            recorder=recorder,
            train=lambda phase, epochs, place: self._train_phase(
                phase,
                self._plan(phase.stage, recipe, epochs=epochs),
                recorder,
                key=key,
                place=place,
                training_epochs=recipe.training.epochs,
            ),
        )
        if pruning.shrinks != NOTHING:
            self.context.stages.write(key, recorder.since(before, pruned, cuts=cuts))
        return BuiltStudent(pruned, cuts)

    def tune(self, pruned: BuiltStudent, recipe: Recipe, recorder: TrialRecorder) -> Building:
        """Train the student further with fake quantization, if its number format asks for it."""
        if not recipe.quantization.tuning_share:
            return pruned
        key = self.context.lineage.tuning_key(recipe, self.seed)
        if stage := self.context.stages.read(key):
            return (yield from self._reuse(stage, recipe, recorder))
        before = recorder.branch()
        network = copy.deepcopy(pruned.network)
        epochs = max(1, round(recipe.training.epochs * recipe.quantization.tuning_share))
        with recipe.quantization.rounded(network, self.context.requirements.example()):
            plan = replace(
                self._plan("tune", recipe, epochs=epochs),
                skipped_epochs=skipped_epochs(length=epochs, epochs=recipe.training.epochs),
            )
            yield from self._train(network, plan, recorder, key=key)
        # The score is measured with fake quantization, because the served file is quantized.
        recorder.end_stage("tune", network, score=recorder.epochs[-1].score)
        self.context.stages.write(key, recorder.since(before, network, cuts=pruned.cuts))
        return BuiltStudent(network, pruned.cuts)

    def losses(self, network: nn.Module, *, recipe: Recipe) -> Iterator[Tensor]:
        """Yield the network's loss on a few batches of training images, without mixing and erasing.

        After the training, the projectors that compare features no longer exist. A method that
        compares features is therefore replaced by the loss on the labels.
        """
        plan = self._plan("weigh", recipe, epochs=1)
        plan = replace(plan, training=replace(plan.training, mixup=0.0, cutmix=0.0, erasing=0.0))
        if recipe.distillation.needs is Needs.FEATURES:
            plan = replace(plan, distillation=Labels(), teachers=())
        return sample_losses(network, self.context.dataset, plan, batches=_IMPORTANCE_BATCHES)

    def _reuse(self, stage: Stage, recipe: Recipe, recorder: TrialRecorder) -> Building:
        """Rebuild the student of a cached stage, and record the stage as reused."""
        network = self.context.requirements.build(recipe.student, blank=True)
        replay_cuts(network, self.context.requirements.example(), stage.cuts)
        network.load_state_dict(stage.weights)
        recorder.take_over(stage)
        yield from stage.epochs
        return BuiltStudent(network, stage.cuts)

    def _train(
        self, network: nn.Module, plan: TrainingPlan, recorder: TrialRecorder, *, key: str
    ) -> Iterator[EpochRecord]:
        """Train the network by the plan, in place, with the stage's checkpoint."""
        plan = replace(plan, checkpoint=self.context.stages.checkpoint(key))
        yield from self._train_and_record(network, plan, recorder)

    def _train_phase(
        self,
        phase: TrainingPhase,
        plan: TrainingPlan,
        recorder: TrialRecorder,
        *,
        key: str,
        place: int,
        training_epochs: int,
    ) -> Iterator[EpochRecord]:
        """Train the phase's network in place, with the phase's penalty and constraint."""
        skipped = skipped_epochs(length=plan.epochs, epochs=training_epochs)
        plan = replace(
            plan,
            skipped_epochs=skipped if phase.has_cut else 0,
            checkpoint=self.context.stages.checkpoint(key, place),
            seed=self.seed + place,
            penalty=phase.penalty,
            constraint=phase.constraint,
        )
        yield from self._train_and_record(phase.network, plan, recorder)

    def _train_and_record(
        self, network: nn.Module, plan: TrainingPlan, recorder: TrialRecorder
    ) -> Iterator[EpochRecord]:
        """Train the network and record its epochs, numbered after the stage's earlier epochs."""
        before = sum(point.stage == plan.stage for point in recorder.epochs)
        for point in train(network, self.context.dataset, plan):
            counted = replace(point, epoch=before + point.epoch)
            recorder.epochs.append(counted)
            yield counted
        network.cpu()

    def _plan(self, stage: str, recipe: Recipe, *, epochs: int) -> TrainingPlan:
        """Return a plan with this number of epochs of the recipe's training and distillation."""
        needs, views = recipe.distillation.needs, self.context.views
        takes_cached = needs is Needs.LOGITS and views.count is not None
        return TrainingPlan(
            stage=stage,
            training=recipe.training.prepared_for(recipe.student),
            distillation=recipe.distillation,
            epochs=epochs,
            validation=self.context.validation,
            views=views if takes_cached else views.endless(),
            targets=self.context.targets if takes_cached else None,
            teachers=() if takes_cached or needs is Needs.NOTHING else self.context.teachers(),
            seed=self.seed,
            device=self.context.device,
        )
