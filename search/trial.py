"""One trial: one recipe, from student to measured artifact. Plain Python; knows nothing of Ray."""

import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from search.admission.foresight import foresee_cost
from search.errors import ArtifactError, TrialError
from search.notes import Notes
from search.records import Branch, Cost, EpochRecord, FailureRecord, Outcome, TrialState
from search.shipping import over_budget, ship
from search.task import Task
from search.training import Course, train
from spaces.axes import Cut, Pruning
from spaces.recipe import Recipe

Progress = Generator[EpochRecord, None, Outcome]


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
        leaves nothing behind.
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
            cost = foreseen or foresee_cost(self.recipe, brief)
        except (ValueError, ArtifactError) as error:
            return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
        return None if brief.budget.admits(cost) else over_budget(cost, brief)

    def run(self, notes: Notes, branches: Sequence[Recipe]) -> Progress:
        """The stages, in the order in which compression is done; then those of the branches."""
        notes.end_stage("admit")

        torch.manual_seed(self.seed)
        network = self.task.brief.build(self.recipe.student)
        yield from self._teach(network, "distil", notes, epochs=self.recipe.training.epochs)
        notes.end_stage("distil", network)
        trained = notes.branch()

        pruned, cuts = yield from self._prune(network, self.recipe.pruning, notes)
        ready = {self.recipe.pruning: _Pruned(pruned, cuts, notes.branch())}

        outcome = self._ship(ready[self.recipe.pruning], self.recipe, notes, name=self.name)

        found = []
        for place, recipe in enumerate(branches):
            name = f"{self.name}-{place}"
            found.append((yield from self._branch(network, recipe, trained, ready, name=name)))
        return replace(outcome, branches=tuple(found))

    def _teach(
        self, network: nn.Module, stage: str, notes: Notes, *, epochs: int
    ) -> Iterator[EpochRecord]:
        """So many epochs of the recipe's training and distillation, in place."""
        course = Course(
            stage=stage,
            training=self.recipe.training,
            distillation=self.recipe.distillation,
            epochs=epochs,
            views=self.task.views,
            targets=self.task.targets if self.recipe.distillation.needs_teacher else None,
            seed=self.seed,
            device=self.task.device,
        )
        for point in train(network, self.task.dataset, course):
            notes.epochs.append(point)
            yield point
        network.cpu()

    def _prune(
        self, network: nn.Module, pruning: Pruning, notes: Notes
    ) -> Generator[EpochRecord, None, tuple[nn.Module, list[Cut]]]:
        """A pruned copy of the network, recovered, and the cuts that were made."""
        pruned, cuts = pruning.apply(network, self.task.brief.example())
        if cuts:
            notes.end_stage("prune", pruned)
        recovery = round(self.recipe.training.epochs * pruning.recovery_share)
        if cuts and recovery:
            yield from self._teach(pruned, "recover", notes, epochs=recovery)
            notes.end_stage("recover", pruned)
        return pruned, cuts

    def _branch(
        self,
        network: nn.Module,
        recipe: Recipe,
        trained: Notes,
        ready: dict[Pruning, "_Pruned"],
        *,
        name: str,
    ) -> Generator[EpochRecord, None, Branch]:
        """What `recipe` makes of the trained network; `ready` keeps each pruning for the next."""
        notes = trained.branch()
        try:
            if recipe.pruning in ready:
                notes = ready[recipe.pruning].notes.branch()
            else:
                pruned, cuts = yield from self._prune(network, recipe.pruning, notes)
                ready[recipe.pruning] = _Pruned(pruned, cuts, notes.branch())
            outcome = self._ship(ready[recipe.pruning], recipe, notes, name=name)
        except Exception as error:  # noqa: BLE001  as the trial's: one branch's end is not another's
            outcome = _failed(error)
        return Branch(params=recipe.to_params(), outcome=notes.attached_to(outcome))

    def _ship(self, pruned: "_Pruned", recipe: Recipe, notes: Notes, *, name: str) -> Outcome:
        network, cuts = pruned.network, pruned.cuts
        return ship(network, cuts, recipe, self.task, notes, name=name, seed=self.seed)


@dataclass(frozen=True)
class _Pruned:
    """A pruned and recovered network, and the notes up to there."""

    network: nn.Module
    cuts: list[Cut]
    notes: Notes


def _failed(error: Exception) -> Outcome:
    failure = FailureRecord(
        kind=error.kind if isinstance(error, TrialError) else type(error).__name__,
        message=str(error),
        traceback="".join(traceback.format_exception(error)),
    )
    return Outcome(state=TrialState.FAILED, failure=failure)
