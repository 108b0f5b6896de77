"""The objects that learn from a study's trials, while it runs and from its store."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from search.analysis.finals import of_kind
from search.cost_model.gate import CostGate
from search.errors import StoreError
from search.objectives.floors import Floor
from search.records import EpochRecord, Outcome, TrialKind, TrialRecord, TrialState
from search.samplers.learning_curve import learning_curve
from search.samplers.optuna_adapter import Sampler
from search.tuner.early_stopping import EarlyStopping
from search.tuner.pinning import FrontierPins
from search.tuner.trial import Trial
from spaces.recipe import Recipe

_UNFINISHED = (TrialState.RUNNING, TrialState.INTERRUPTED)


@dataclass(frozen=True)
class EarlierRuns:
    """The results of the study's earlier runs.

    Attributes:
        trained: the number of trials that count towards `search.trials`.
        interrupted: trials without an outcome, by number; they run again.
    """

    trained: int = 0
    interrupted: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Learners:
    """The objects that learn from outcomes.

    Attributes:
        sampler: proposes recipes.
        gate: predicts and records the costs of recipes.
        early_stopping: decides which trials stop early; None stops no trial.
        pins: pins the cached stages of the frontier; None pins nothing.
    """

    sampler: Sampler
    gate: CostGate
    early_stopping: EarlyStopping | None = None
    pins: FrontierPins | None = None

    def recall(self, trials: Sequence[TrialRecord]) -> EarlierRuns:
        """Learn from all trials of the search in the store, in the order in which they ended.

        The sampler proposes none of these recipes again. Finalists and refits are no part of the
        search.

        Args:
            trials: all trials of the study.

        Raises:
            StoreError: this version does not know a trial's recipe.
        """
        trained = 0
        interrupted: list[Trial] = []
        ended: list[tuple[datetime, TrialRecord, Recipe]] = []
        for record in of_kind(trials, TrialKind.SEARCH):
            recipe = recipe_of(record)
            self.sampler.expect(recipe)
            if record.state in _UNFINISHED:
                interrupted.append(Trial(number=record.number, recipe=recipe, seed=record.seed))
            else:
                assert record.finished_at is not None
                ended.append((record.finished_at, record, recipe))
        for _, record, recipe in sorted(ended, key=lambda each: each[0]):
            self._learn_stored(record, recipe)
            trained += record.parent is None and record.state is not TrialState.INFEASIBLE
        self._pin_frontier()
        return EarlierRuns(trained, tuple(interrupted))

    def _learn_stored(self, record: TrialRecord, recipe: Recipe) -> None:
        """Learn from an ended trial or branch."""
        assert record.outcome is not None
        is_branch = record.parent is not None
        trainer = record.number if record.parent is None else record.parent
        if not is_branch:
            self._note_curve(trainer, recipe, record.outcome.epochs)
        self._report(recipe, record.outcome, trial=trainer, seed=record.seed, is_branch=is_branch)

    def tell(
        self, recipe: Recipe, outcome: Outcome, *, trial: int, seed: int, is_branch: bool = False
    ) -> None:
        """Report the outcome of a trial or branch to all learners.

        Args:
            recipe: the recipe that was tried.
            outcome: its outcome.
            trial: the number of the trial that trained the student.
            seed: the trial's seed.
            is_branch: whether the student is a branch.

        Raises:
            StoreError: the recipe's measured cost can't be stored.
        """
        self._report(recipe, outcome, trial=trial, seed=seed, is_branch=is_branch)
        self._pin_frontier()

    def _report(
        self, recipe: Recipe, outcome: Outcome, *, trial: int, seed: int, is_branch: bool
    ) -> None:
        self.sampler.tell(recipe, outcome, branch=is_branch)
        self.gate.learn(recipe, outcome)
        if self.early_stopping:
            self.early_stopping.finish(trial, outcome, branch=is_branch)
        if self.pins:
            with suppress(OSError):  # an evicted stage is computed again
                self.pins.note(recipe, seed, outcome)

    def reason_to_stop(self, trial: Trial, point: EpochRecord) -> str | None:
        """Report an epoch to early stopping; return why the trial should stop, or None."""
        if self.early_stopping is None or trial.cost is None:
            return None
        reason = None
        for share, utility in learning_curve(trial.recipe, [point], self.early_stopping.metric):
            floors = _floor_utilities(point, self.early_stopping.floors)
            reason = self.early_stopping.should_stop(
                trial.number, share=share, utility=utility, cost=trial.cost, floors=floors
            )
        return reason

    def _note_curve(self, trial: int, recipe: Recipe, epochs: Iterable[EpochRecord]) -> None:
        """Report the curve of an ended trial to early stopping."""
        if not self.early_stopping:
            return
        for point in epochs:
            for share, utility in learning_curve(recipe, [point], self.early_stopping.metric):
                floors = _floor_utilities(point, self.early_stopping.floors)
                self.early_stopping.note(trial, share=share, utility=utility, floors=floors)

    def _pin_frontier(self) -> None:
        """Pin the stages of the frontier, if the frontier has changed."""
        if self.pins:
            with suppress(OSError):  # an evicted stage is computed again
                self.pins.keep()


def _floor_utilities(point: EpochRecord, floors: Iterable[Floor]) -> dict[str, float]:
    """Return the utilities of the values with floors that were measured after an epoch."""
    return {
        floor.name: floor.metric.utility(point.floors[floor.name])
        for floor in floors
        if floor.name in point.floors
    }


def recipe_of(trial: TrialRecord) -> Recipe:
    """Return the trial's recipe.

    Raises:
        StoreError: this version does not know it.
    """
    try:
        return Recipe.from_params(trial.params)
    except ValueError as error:
        raise StoreError(
            f"trial {trial.number} of {trial.study} has a recipe that this version of retort does "
            f"not know: {error}. Use the version of retort that wrote it, or start a new study"
        ) from error
