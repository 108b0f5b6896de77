"""One trial: one recipe, from student to measured artifact. Plain Python; knows nothing of Ray."""

import copy
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from search.admission.foresight import foresee_cost, least_cost
from search.errors import ArtifactError
from search.failures import failure_of
from search.notes import Notes
from search.operation import carry_out
from search.records import Branch, Cost, EpochRecord, Outcome, TrialState
from search.shipping import Unpruned, over_budget, ship
from search.stages import Stage
from search.task import Task
from search.training import Course, sample_losses, train
from spaces.axes import Cut, Exercise, Needs, Pruning
from spaces.cuts import replay_cuts
from spaces.distillation.labels import Labels
from spaces.recipe import Recipe
from spaces.shrinks import NOTHING

Progress = Generator[EpochRecord, None, Outcome]
Making = Generator[EpochRecord, None, "Made"]

# Of training images, on which prunings that ask for it see what weights are worth.
_WEIGHED_BATCHES = 8


def run_trial(
    recipe: Recipe,
    task: Task,
    *,
    number: int,
    seed: int,
    foreseen: Cost | None = None,
    branches: Sequence[Recipe] = (),
) -> Progress:
    """All that one recipe comes to: an epoch at a time, and at last its outcome.

    A recipe that contradicts itself, or whose cost breaks the budget, is INFEASIBLE and is never
    trained. Nothing is raised: what goes wrong is FAILED, with its cause.

    Args:
        recipe: what to do.
        task: what to do it to.
        number: the trial's, in its study.
        seed: of weights, order and dropout.
        foreseen: what its student was measured to cost untrained; None has that measured here.
        branches: recipes that differ from `recipe` in pruning and quantization alone. They are
            made of the student that it trained, which takes seconds.

    Returns:
        A generator of the learning curve's points that returns the outcome; closed early, it
        leaves nothing behind but the last checkpoint of its training.
    """
    notes = Notes(task)
    trial = _Trial(recipe, task, name=f"trial-{number:05d}", seed=seed)
    try:
        outcome = trial.refusal(foreseen) or (yield from trial.run(notes, branches))
    except Exception as error:  # noqa: BLE001  the trial's boundary: recorded, and the search goes on
        outcome = _failed(error)
    return notes.attached_to(outcome)


def finish(trial: Progress) -> Outcome:
    """Runs a trial to its end, whatever its curve."""
    while True:
        try:
            next(trial)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


@dataclass(frozen=True)
class _Trial:
    """A trial: what it is to do."""

    recipe: Recipe
    task: Task
    name: str = field(kw_only=True)
    seed: int = field(kw_only=True)

    def refusal(self, foreseen: Cost | None) -> Outcome | None:
        """INFEASIBLE, unless the recipe is sound and its cost within the budget."""
        if reason := self.recipe.conflict():
            return Outcome(state=TrialState.INFEASIBLE, reason=reason)
        brief = self.task.brief
        try:
            cost = foreseen or least_cost(foresee_cost(self.recipe, brief), self.recipe)
        except (ValueError, ArtifactError) as error:
            return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
        return None if brief.budget.admits(cost) else over_budget(cost, brief)

    def run(self, notes: Notes, branches: Sequence[Recipe]) -> Progress:
        """The stages, in the order in which compression is done; then those of the branches."""
        notes.end_stage("admit")

        trained = yield from self._trained(notes)
        before = notes.branch()
        own = yield from self._pruned(trained, self.recipe, notes)
        ready = {self.recipe.pruning: _Ready(own, notes.branch())}
        with tempfile.TemporaryDirectory() as folder:
            shape = self.task.brief.image_shape
            unpruned = Unpruned(trained.network, Path(folder), shape)
            tuned = yield from self._tuned(own, self.recipe, notes)
            outcome = self._ship(tuned, self.recipe, notes, unpruned, name=self.name)
            found = []
            for place, recipe in enumerate(branches):
                making = self._branch(trained, recipe, before, ready, unpruned, place=place)
                found.append((yield from making))
        return replace(outcome, branches=tuple(found))

    def _trained(self, notes: Notes) -> Making:
        """The recipe's student after its training, unless it was trained before."""
        key = self.task.lineage.training_key(self.recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, notes))
        before = notes.branch()
        torch.manual_seed(self.seed)
        network = self.task.brief.build(self.recipe.student)
        epochs = self.recipe.training.epochs
        yield from self._teach(network, "distil", notes, epochs=epochs, key=key)
        notes.end_stage("distil", network)
        self.task.stages.write(key, notes.since(before, network, cuts=()))
        return Made(network, ())

    def _pruned(self, trained: "Made", recipe: Recipe, notes: Notes) -> Making:
        """The student pruned as `recipe` says and recovered, unless that was done before."""
        key = self.task.lineage.pruning_key(recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, notes))
        before = notes.branch()
        brief, pruning = self.task.brief, recipe.pruning
        operation = pruning.operate(trained.network, brief.example(), losses=self._losses)
        pruned, cuts = yield from carry_out(
            operation,
            epochs=recipe.training.epochs,
            notes=notes,
            teach=lambda exercise, epochs, place: self._exercised(
                exercise, notes, epochs=epochs, key=key, place=place
            ),
        )
        if pruning.shrinks != NOTHING:
            self.task.stages.write(key, notes.since(before, pruned, cuts=cuts))
        return Made(pruned, cuts)

    def _tuned(self, pruned: "Made", recipe: Recipe, notes: Notes) -> Making:
        """The student trained on under its number format's rounding, if that asks for it."""
        if not recipe.quantization.tuning_share:
            return pruned
        key = self.task.lineage.tuning_key(recipe, self.seed)
        if stage := self.task.stages.read(key):
            return (yield from self._taken_over(stage, notes))
        before = notes.branch()
        network = copy.deepcopy(pruned.network)
        epochs = max(1, round(recipe.training.epochs * recipe.quantization.tuning_share))
        with recipe.quantization.rounded(network, self.task.brief.example()):
            yield from self._teach(network, "tune", notes, epochs=epochs, key=key)
        # What it came to under the rounding: without it, it is no student that anybody gets.
        notes.end_stage("tune", network, accuracy=notes.epochs[-1].accuracy)
        self.task.stages.write(key, notes.since(before, network, cuts=pruned.cuts))
        return Made(network, pruned.cuts)

    def _taken_over(self, stage: Stage, notes: Notes) -> Making:
        """What was computed before, as if it had been computed now."""
        network = self.task.brief.build(self.recipe.student, blank=True)
        replay_cuts(network, self.task.brief.example(), stage.cuts)
        network.load_state_dict(stage.weights)
        notes.take_over(stage)
        yield from stage.epochs
        return Made(network, stage.cuts)

    def _teach(
        self, network: nn.Module, stage: str, notes: Notes, *, epochs: int, key: str
    ) -> Iterator[EpochRecord]:
        """So many epochs of the recipe's training and distillation, in place."""
        course = self._course(stage, epochs=epochs)
        course = replace(course, checkpoint=self.task.stages.checkpoint(key))
        yield from self._followed(network, course, notes)

    def _exercised(
        self, exercise: Exercise, notes: Notes, *, epochs: int, key: str, place: int
    ) -> Iterator[EpochRecord]:
        """So many epochs of an exercise; epochs of its stage are counted on from those before."""
        course = replace(
            self._course(exercise.stage, epochs=epochs),
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

    def _course(self, stage: str, *, epochs: int) -> Course:
        """So many epochs of the recipe's training and distillation."""
        needs = self.recipe.distillation.needs
        return Course(
            stage=stage,
            training=self.recipe.training,
            distillation=self.recipe.distillation,
            epochs=epochs,
            views=self.task.views,
            targets=self.task.targets if needs is Needs.LOGITS else None,
            teachers=self.task.teachers() if needs is Needs.FEATURES else (),
            seed=self.seed,
            device=self.task.device,
        )

    def _losses(self, network: nn.Module) -> Iterator[Tensor]:
        """What the network loses on a few batches of training images.

        Projectors of features are gone with the training: labels stand for what they compared.
        """
        course = self._course("weigh", epochs=1)
        if course.teachers:
            course = replace(course, distillation=Labels(), teachers=())
        return sample_losses(network, self.task.dataset, course, batches=_WEIGHED_BATCHES)

    def _branch(
        self,
        trained: "Made",
        recipe: Recipe,
        before: Notes,
        ready: dict[Pruning, "_Ready"],
        unpruned: Unpruned,
        *,
        place: int,
    ) -> Generator[EpochRecord, None, Branch]:
        """What `recipe` makes of the trained student; `ready` keeps each pruning for the next."""
        notes = before.branch()
        try:
            if recipe.pruning in ready:
                notes = ready[recipe.pruning].notes.branch()
            else:
                made = yield from self._pruned(trained, recipe, notes)
                ready[recipe.pruning] = _Ready(made, notes.branch())
            tuned = yield from self._tuned(ready[recipe.pruning].made, recipe, notes)
            name = f"{self.name}-{place}"
            outcome = self._ship(tuned, recipe, notes, unpruned, name=name)
        except Exception as error:  # noqa: BLE001  as the trial's: one branch's end is not another's
            outcome = _failed(error)
        return Branch(params=recipe.to_params(), outcome=notes.attached_to(outcome))

    def _ship(
        self, made: "Made", recipe: Recipe, notes: Notes, unpruned: Unpruned, *, name: str
    ) -> Outcome:
        return ship(
            made.network,
            made.cuts,
            recipe,
            self.task,
            notes,
            unpruned=unpruned,
            name=name,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Made:
    """A network that stages have made, and what was cut out of it."""

    network: nn.Module
    cuts: Sequence[Cut]


@dataclass(frozen=True)
class _Ready:
    """A pruned and recovered network, and the notes up to there."""

    made: Made
    notes: Notes


def _failed(error: Exception) -> Outcome:
    return Outcome(state=TrialState.FAILED, failure=failure_of(error))
