"""One trial: one recipe, from student to measured artifact. Plain Python; knows nothing of Ray."""

import uuid
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from search.config.student_spec import StudentRequirements
from search.cost_model.dry_run import dry_run, least_cost
from search.errors import ArtifactError
from search.files.disk import disk_fault, scratch
from search.pipeline.failures import failure_of
from search.pipeline.package import over_budget, ship
from search.pipeline.student_builder import BuiltStudent, StudentBuilder
from search.pipeline.study_context import StudyContext
from search.pipeline.trial_recorder import TrialRecorder, WorkClock
from search.records import Branch, Cost, EpochRecord, Outcome, TrialState
from search.targets.float_student import FloatStudent
from spaces.axes.pruning import Pruning
from spaces.pruning.none import NoPruning
from spaces.recipe import Recipe

Training = Generator[EpochRecord, None, Outcome]
Progress = Generator[EpochRecord | Outcome, None, Outcome]


def run_trial(
    recipe: Recipe,
    context: StudyContext,
    *,
    number: int,
    seed: int,
    foreseen: Cost | None = None,
    branches: Sequence[Recipe] = (),
    doubtful: Collection[Recipe] = (),
) -> Progress:
    """All that one recipe comes to: an epoch at a time, and at last its outcome.

    Where there are branches, the outcome comes as soon as it is known, and again with each branch
    that has ended since.

    A recipe that contradicts itself, or whose cost breaks the budget, is INFEASIBLE and is never
    trained. Nothing is raised: what goes wrong is FAILED, with its cause.

    Args:
        recipe: what to do.
        context: what to do it to.
        number: the trial's, in its study.
        seed: of weights, order and dropout.
        foreseen: what its student will cost, where that is settled; None has it measured here.
        branches: recipes that differ from `recipe` in pruning and quantization alone. They are
            made of the student that it trained, which takes seconds.
        doubtful: those of the branches that may break the budget: each is measured untrained first.

    Returns:
        A generator of the learning curve's points that returns the outcome; closed early, it
        leaves nothing behind but the last checkpoint of its training.
    """
    clock = WorkClock()
    recorder = TrialRecorder(context, clock)
    trial = _TrialRun(recipe, context, name=f"trial-{number:05d}", seed=seed)
    try:
        if refusal := trial.refusal(foreseen):
            return recorder.attached_to(refusal)
        return (yield from clock.over(trial.run(recorder, branches, doubtful)))
    except Exception as error:  # noqa: BLE001  the trial's boundary: recorded, and the search goes on
        return recorder.attached_to(_failed(error))


def finish(trial: Progress) -> Outcome:
    """Runs a trial to its end, whatever its curve."""
    while True:
        try:
            next(trial)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


@dataclass(frozen=True)
class _TrialRun:
    """A trial: what it is to do."""

    recipe: Recipe
    context: StudyContext
    name: str = field(kw_only=True)
    seed: int = field(kw_only=True)

    def refusal(self, foreseen: Cost | None) -> Outcome | None:
        """INFEASIBLE, unless the recipe is sound and its cost within the budget."""
        if reason := self.recipe.conflict():
            return Outcome(state=TrialState.INFEASIBLE, reason=reason)
        return _refusal(self.recipe, self.context.requirements, foreseen)

    def run(
        self, recorder: TrialRecorder, branches: Sequence[Recipe], doubtful: Collection[Recipe]
    ) -> Progress:
        """The stages, in the order in which compression is done; then those of the branches."""
        recorder.end_stage("admit")
        builder = StudentBuilder(self.context, self.seed)
        trained = yield from builder.train(self.recipe, recorder)
        with scratch() as folder:
            branch_builder = _BranchBuilder(
                self.context, builder, trained, recorder.branch(), folder
            )
            made = yield from branch_builder.compress(self.recipe, recorder, name=self.name)
            outcome = recorder.attached_to(made)
            for place, recipe in enumerate(branches):
                yield outcome
                name = f"{self.name}-{place}"
                doubted = recipe in doubtful
                branch = yield from self._branch(branch_builder, recipe, name=name, doubted=doubted)
                outcome = replace(outcome, branches=(*outcome.branches, branch))
        return outcome

    def _branch(
        self, branch_builder: "_BranchBuilder", recipe: Recipe, *, name: str, doubted: bool
    ) -> Generator[EpochRecord, None, Branch]:
        """What `recipe` makes of the student that was trained."""
        recorder = branch_builder.before.branch()
        try:
            refusal = _refusal(recipe, self.context.requirements) if doubted else None
            outcome = refusal or (yield from branch_builder.compress(recipe, recorder, name=name))
        except Exception as error:
            if fault := disk_fault(error):
                raise fault from error  # it would be the end of all
            outcome = _failed(error)
        return Branch(params=recipe.to_params(), outcome=recorder.attached_to(outcome))


@dataclass(frozen=True)
class _Pruned:
    """A pruned and recovered network, its float files, and the notes up to there."""

    made: BuiltStudent
    exported: FloatStudent
    recorder: TrialRecorder


class _BranchBuilder:
    """Where one trained student is made into others; what two of them share is made once.

    Args:
        context: what they are made for.
        builder: makes networks.
        trained: the student.
        before: the notes up to its training.
        folder: for files that nobody keeps.
    """

    def __init__(
        self,
        context: StudyContext,
        builder: StudentBuilder,
        trained: BuiltStudent,
        before: TrialRecorder,
        folder: Path,
    ) -> None:
        self.before = before
        self._context = context
        self._builder = builder
        self._trained = trained
        self._folder = folder
        self._unpruned = self._exported(trained, NoPruning())
        self._pruned: dict[Pruning, _Pruned] = {}

    def compress(self, recipe: Recipe, recorder: TrialRecorder, *, name: str) -> Training:
        """What the recipe's pruning and quantization make of the student."""
        pruned = self._pruned.get(recipe.pruning)
        if pruned is None:
            made = yield from self._builder.prune(self._trained, recipe, recorder)
            pruned = _Pruned(made, self._exported(made, recipe.pruning), recorder.branch())
            self._pruned[recipe.pruning] = pruned
        else:
            recorder.go_on_from(pruned.recorder)
        made, exported = pruned.made, pruned.exported
        tuned = yield from self._builder.tune(made, recipe, recorder)
        if tuned is not made:
            made, exported = tuned, self._exported(tuned, recipe.pruning)
        return ship(
            exported,
            made.cuts,
            recipe,
            self._context,
            recorder,
            unpruned=self._unpruned,
            name=name,
            seed=self._builder.seed,
        )

    def _exported(self, made: BuiltStudent, pruning: Pruning) -> FloatStudent:
        folder, shape = self._folder / uuid.uuid4().hex, self._context.requirements.image_shape
        return FloatStudent(made.network, folder, shape, pruning=pruning)


def _refusal(
    recipe: Recipe, requirements: StudentRequirements, foreseen: Cost | None = None
) -> Outcome | None:
    """INFEASIBLE, unless the recipe's student is sound and its cost within the budget."""
    try:
        cost = foreseen or least_cost(dry_run(recipe, requirements), recipe)
    except (ValueError, ArtifactError) as error:
        return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
    return None if requirements.budget.admits(cost) else over_budget(cost, requirements)


def _failed(error: Exception) -> Outcome:
    return Outcome(state=TrialState.FAILED, failure=failure_of(error))
