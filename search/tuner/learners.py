"""All that learn from a study's trials: while it runs, and from what its store holds already."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from search.cost_model.gate import CostGate
from search.errors import StoreError
from search.records import EpochRecord, Outcome, TrialRecord, TrialState
from search.samplers.learning_curve import learning_curve
from search.samplers.optuna_adapter import Sampler
from search.tuner.early_stopping import EarlyStopping
from search.tuner.pinning import FrontierPins
from search.tuner.trial import Trial
from spaces.recipe import Recipe

_UNFINISHED = (TrialState.RUNNING, TrialState.INTERRUPTED)


@dataclass(frozen=True)
class EarlierRuns:
    """What earlier runs of the study came to.

    Attributes:
        trained: trials that count towards those asked for.
        interrupted: trials without an outcome, by number, to be run again.
    """

    trained: int = 0
    interrupted: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Learners:
    """Those who are told what trials come to.

    Attributes:
        sampler: proposes recipes by it.
        gate: knows by it what recipes cost.
        early_stopping: says by it which trial is hopeless; None lets all of them end.
        pins: keep what the frontier was made of; None keeps nothing.
    """

    sampler: Sampler
    gate: CostGate
    early_stopping: EarlyStopping | None = None
    pins: FrontierPins | None = None

    def recall(self, trials: Sequence[TrialRecord]) -> EarlierRuns:
        """Learns all that the store holds of the study, in the order of the trials' numbers.

        The sampler proposes none of these recipes again.

        Args:
            trials: the study's, whole.

        Raises:
            StoreError: a trial's recipe is one that this version does not know.
        """
        trained = 0
        interrupted: list[Trial] = []
        for record in trials:
            recipe = recipe_of(record)
            self.sampler.expect(recipe)
            if record.state in _UNFINISHED:
                interrupted.append(Trial(number=record.number, recipe=recipe, seed=record.seed))
                continue
            self._recall(record, recipe)
            trained += record.parent is None and record.state is not TrialState.INFEASIBLE
        self._keep_frontier()
        return EarlierRuns(trained, tuple(interrupted))

    def _recall(self, record: TrialRecord, recipe: Recipe) -> None:
        """Learns a trial that ended, or a branch of one."""
        assert record.outcome is not None
        is_branch = record.parent is not None
        trainer = record.number if record.parent is None else record.parent
        if not is_branch:
            self._note_curve(trainer, recipe, record.outcome.epochs)
        self._tell(recipe, record.outcome, trial=trainer, seed=record.seed, is_branch=is_branch)

    def tell(
        self, recipe: Recipe, outcome: Outcome, *, trial: int, seed: int, is_branch: bool = False
    ) -> None:
        """Tells all of them how a trial ended, or a branch of one.

        Args:
            recipe: what was done.
            outcome: what it came to.
            trial: the number of the trial that trained the student.
            seed: the trial's.
            is_branch: whether the student is a branch, made of another trial's.

        Raises:
            StoreError: what the recipe was found to cost can't be kept.
        """
        self._tell(recipe, outcome, trial=trial, seed=seed, is_branch=is_branch)
        self._keep_frontier()

    def _tell(
        self, recipe: Recipe, outcome: Outcome, *, trial: int, seed: int, is_branch: bool
    ) -> None:
        self.sampler.tell(recipe, outcome, branch=is_branch)
        self.gate.learn(recipe, outcome)
        if self.early_stopping:
            self.early_stopping.finish(trial, outcome, branch=is_branch)
        if self.pins:
            with suppress(OSError):  # what the cache throws out is computed again
                self.pins.note(recipe, seed, outcome)

    def reason_to_stop(self, trial: Trial, point: EpochRecord) -> str | None:
        """Tells early stopping of an epoch; why the trial should stop, None while it may go on."""
        if self.early_stopping is None or trial.cost is None:
            return None
        reason = None
        for share, utility in learning_curve(trial.recipe, [point], self.early_stopping.metric):
            reason = self.early_stopping.should_stop(
                trial.number, share=share, utility=utility, cost=trial.cost
            )
        return reason

    def _note_curve(self, trial: int, recipe: Recipe, epochs: Iterable[EpochRecord]) -> None:
        """Tells early stopping how a trial came along that has ended."""
        if self.early_stopping:
            for share, utility in learning_curve(recipe, epochs, self.early_stopping.metric):
                self.early_stopping.note(trial, share=share, utility=utility)

    def _keep_frontier(self) -> None:
        """Pins what the frontier is made of, if it has moved since."""
        if self.pins:
            with suppress(OSError):  # what the cache throws out is computed again
                self.pins.keep()


def recipe_of(trial: TrialRecord) -> Recipe:
    """The trial's recipe.

    Raises:
        StoreError: this version does not know it.
    """
    try:
        return Recipe.from_params(trial.params)
    except ValueError as error:
        raise StoreError(
            f"trial {trial.number} of {trial.study} has a recipe that this retort does not know: "
            f"{error}; go on with the version that wrote it, or start a new study"
        ) from error
