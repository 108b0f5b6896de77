"""One trial: one recipe, from student to measured artifact. Plain Python; knows nothing of Ray."""

import uuid
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from search.config.student_spec import Brief
from search.cost_model.dry_run import foresee_cost, least_cost
from search.errors import ArtifactError
from search.evaluation.convert import Exported
from search.files.disk import disk_fault, scratch
from search.pipeline.failures import failure_of
from search.pipeline.package import over_budget, ship
from search.pipeline.student_builder import Made, Maker
from search.pipeline.study_context import Task
from search.pipeline.trial_recorder import Notes, WorkClock
from search.records import Branch, Cost, EpochRecord, Outcome, TrialState
from spaces.axes.pruning import Pruning
from spaces.recipe import Recipe

Training = Generator[EpochRecord, None, Outcome]
Progress = Generator[EpochRecord | Outcome, None, Outcome]


def run_trial(
    recipe: Recipe,
    task: Task,
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
        task: what to do it to.
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
    notes = Notes(task, clock)
    trial = _Trial(recipe, task, name=f"trial-{number:05d}", seed=seed)
    try:
        if refusal := trial.refusal(foreseen):
            return notes.attached_to(refusal)
        return (yield from clock.over(trial.run(notes, branches, doubtful)))
    except Exception as error:  # noqa: BLE001  the trial's boundary: recorded, and the search goes on
        return notes.attached_to(_failed(error))


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
        return _refusal(self.recipe, self.task.brief, foreseen)

    def run(
        self, notes: Notes, branches: Sequence[Recipe], doubtful: Collection[Recipe]
    ) -> Progress:
        """The stages, in the order in which compression is done; then those of the branches."""
        notes.end_stage("admit")
        maker = Maker(self.task, self.seed)
        trained = yield from maker.train(self.recipe, notes)
        with scratch() as folder:
            workbench = _Workbench(self.task, maker, trained, notes.branch(), folder)
            made = yield from workbench.compress(self.recipe, notes, name=self.name)
            outcome = notes.attached_to(made)
            for place, recipe in enumerate(branches):
                yield outcome
                name = f"{self.name}-{place}"
                doubted = recipe in doubtful
                branch = yield from self._branch(workbench, recipe, name=name, doubted=doubted)
                outcome = replace(outcome, branches=(*outcome.branches, branch))
        return outcome

    def _branch(
        self, workbench: "_Workbench", recipe: Recipe, *, name: str, doubted: bool
    ) -> Generator[EpochRecord, None, Branch]:
        """What `recipe` makes of the student that was trained."""
        notes = workbench.before.branch()
        try:
            refusal = _refusal(recipe, self.task.brief) if doubted else None
            outcome = refusal or (yield from workbench.compress(recipe, notes, name=name))
        except Exception as error:
            if fault := disk_fault(error):
                raise fault from error  # it would be the end of all
            outcome = _failed(error)
        return Branch(params=recipe.to_params(), outcome=notes.attached_to(outcome))


@dataclass(frozen=True)
class _Pruned:
    """A pruned and recovered network, its float file, and the notes up to there."""

    made: Made
    exported: Exported
    notes: Notes


class _Workbench:
    """Where one trained student is made into others; what two of them share is made once.

    Args:
        task: what they are made for.
        maker: makes networks.
        trained: the student.
        before: the notes up to its training.
        folder: for files that nobody keeps.
    """

    def __init__(
        self, task: Task, maker: Maker, trained: Made, before: Notes, folder: Path
    ) -> None:
        self.before = before
        self._task = task
        self._maker = maker
        self._trained = trained
        self._folder = folder
        self._unpruned = self._exported(trained)
        self._pruned: dict[Pruning, _Pruned] = {}

    def compress(self, recipe: Recipe, notes: Notes, *, name: str) -> Training:
        """What the recipe's pruning and quantization make of the student."""
        pruned = self._pruned.get(recipe.pruning)
        if pruned is None:
            made = yield from self._maker.prune(self._trained, recipe, notes)
            pruned = _Pruned(made, self._exported(made), notes.branch())
            self._pruned[recipe.pruning] = pruned
        else:
            notes.go_on_from(pruned.notes)
        made, exported = pruned.made, pruned.exported
        tuned = yield from self._maker.tune(made, recipe, notes)
        if tuned is not made:
            made, exported = tuned, self._exported(tuned)
        return ship(
            exported,
            made.cuts,
            recipe,
            self._task,
            notes,
            unpruned=self._unpruned,
            name=name,
            seed=self._maker.seed,
        )

    def _exported(self, made: Made) -> Exported:
        path = self._folder / f"{uuid.uuid4().hex}.onnx"
        return Exported(made.network, path, self._task.brief.image_shape)


def _refusal(recipe: Recipe, brief: Brief, foreseen: Cost | None = None) -> Outcome | None:
    """INFEASIBLE, unless the recipe's student is sound and its cost within the budget."""
    try:
        cost = foreseen or least_cost(foresee_cost(recipe, brief), recipe)
    except (ValueError, ArtifactError) as error:
        return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
    return None if brief.budget.admits(cost) else over_budget(cost, brief)


def _failed(error: Exception) -> Outcome:
    return Outcome(state=TrialState.FAILED, failure=failure_of(error))
