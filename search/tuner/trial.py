"""A trial in the tuner, from its first record in the store to its last branch.

This module imports no sampler, so that a worker, which receives trials, starts faster.
"""

import time
from dataclasses import dataclass, replace
from enum import StrEnum

from search.errors import ImpossibleValue, NotFinite
from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.records import Branch, Cost, EpochRecord, FailureRecord, Outcome, TrialState
from spaces.recipe import Recipe

_NO_RESULT = FailureRecord(
    kind=PROCESS_DIED,
    message="the trial's process ended without a result; it may have run out of memory",
)


class TrialPhase(StrEnum):
    """The phase of a trial in the tuner; the `TrialState` of its outcome records how it ended."""

    PROPOSED = "proposed"  # recorded in the store; waits for a worker
    RUNNING = "running"  # runs on a worker
    ENDED = "ended"  # its own outcome is in the store; a worker may still make its branches


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe with its number in the store, and everything that the tuner knows about it.

    Each step returns a new trial. The tuner sends a trial that has just started to a worker. Such a
    trial contains no network, no curve and no part of the sampler, so it is small and can be
    pickled.

    Attributes:
        number: the trial's number within the study, from 0.
        recipe: the recipe to try.
        seed: the seed of initial weights, of the order of images, and of dropout.
        phase: its phase in the tuner.
        branches: recipes that are also made from its trained student; None until its first start.
        doubtful: branches that may break the budget; each is measured before it is made.
        cost: the known or predicted cost of its student; None without any estimate.
        is_known_to_fit: whether `cost` is certain to be within the budget.
        epochs: the learning curve so far.
        stop_reason: why the tuner stops it early; None if it may continue.
        outcome: its recorded outcome, with the branches that ended; None while it runs.
        deaths: how often its process ended without a result, in this run of the study.
        is_halved: whether its batch size was halved after a lack of memory.
        started_at: its start in seconds, by the monotonic clock of the tuner's process.
    """

    number: int
    recipe: Recipe
    seed: int
    phase: TrialPhase = TrialPhase.PROPOSED
    branches: tuple[Recipe, ...] | None = None
    doubtful: frozenset[Recipe] = frozenset()
    cost: Cost | None = None
    is_known_to_fit: bool = False
    epochs: tuple[EpochRecord, ...] = ()
    stop_reason: str | None = None
    outcome: Outcome | None = None
    deaths: int = 0
    is_halved: bool = False
    started_at: float = 0.0

    @property
    def fitting_cost(self) -> Cost | None:
        """The cost of its student; None if a worker must measure whether the student fits."""
        return self.cost if self.is_known_to_fit else None

    @property
    def branches_made(self) -> int:
        """The number of recorded branches."""
        return len(self.outcome.branches) if self.outcome else 0

    @property
    def branches_left(self) -> tuple[Recipe, ...]:
        """The branches that are not yet recorded, in the order in which workers make them."""
        return (self.branches or ())[self.branches_made :]

    @property
    def has_failed(self) -> bool:
        """Whether its own recorded outcome is FAILED."""
        return self.outcome is not None and self.outcome.state is TrialState.FAILED

    def started(
        self,
        *,
        branches: tuple[Recipe, ...],
        doubtful: frozenset[Recipe],
        cost: Cost | None,
        is_known_to_fit: bool,
    ) -> "Trial":
        """Return the trial as the tuner sends it to a worker."""
        return replace(
            self,
            phase=TrialPhase.RUNNING,
            branches=branches,
            doubtful=doubtful,
            cost=cost,
            is_known_to_fit=is_known_to_fit,
            started_at=time.monotonic(),
        )

    def reported(self, point: EpochRecord, *, stop_reason: str | None = None) -> "Trial":
        """Return the trial with one more epoch, and with a reason to stop, if there is one."""
        return replace(self, epochs=(*self.epochs, point), stop_reason=stop_reason)

    def ended(self, outcome: Outcome) -> "Trial":
        """Return the trial with this part of its outcome recorded."""
        return replace(self, phase=TrialPhase.ENDED, outcome=outcome)

    def next_try(self, failure: FailureRecord | None, *, retries: int) -> "Trial | None":
        """Return the trial for its next try; None if its failure is final.

        A process may die by accident, so the trial is retried unchanged, up to `retries` times.
        After a lack of memory, the same trial would fail again, so it is retried once, with half
        the batch size.
        """
        if failure is None:
            return None
        again = replace(self, phase=TrialPhase.PROPOSED, epochs=(), stop_reason=None)
        if failure.kind == PROCESS_DIED and self.deaths < retries:
            return replace(again, deaths=self.deaths + 1)
        if failure.kind == OUT_OF_MEMORY and not self.is_halved:
            return again._with_half_the_batch()
        return None

    def _with_half_the_batch(self) -> "Trial | None":
        training = self.recipe.training
        try:
            smaller = replace(training, batch_size=training.batch_size // 2)
        except ValueError:
            return None  # the method allows no smaller batch size
        recipe = replace(self.recipe, training=smaller)
        return replace(self, recipe=recipe, branches=None, is_halved=True)

    def final_outcome(self, outcome: Outcome | None, cause: FailureRecord | None) -> Outcome:
        """Return the trial's outcome: STOPPED if the tuner stopped it, else the worker's report.

        Args:
            outcome: the worker's report; None if its process ended without a report.
            cause: why the process ended; None if unknown.
        """
        if self.stop_reason:
            return self._without_report(TrialState.STOPPED, reason=self.stop_reason, cost=self.cost)
        return outcome or self._without_report(TrialState.FAILED, failure=cause or _NO_RESULT)

    def unrecorded(self, outcome: Outcome) -> Outcome:
        """Return the outcome with only the branches that are not yet recorded."""
        return replace(outcome, branches=outcome.branches[self.branches_made :])

    def with_impossible_value(self, error: ImpossibleValue, outcome: Outcome) -> Outcome:
        """Return a replacement for an outcome that can't be stored.

        If the trial's own outcome is not yet recorded, the replacement is FAILED. Otherwise its
        branches become FAILED.

        Args:
            error: names the measurement that no network can have.
            outcome: the part of the outcome that is not yet recorded.
        """
        kind = "non_finite" if isinstance(error, NotFinite) else "impossible_value"
        failure = FailureRecord(kind=kind, message=f"a measurement of the trial: {error}")
        if self.outcome is None:
            return self._without_report(TrialState.FAILED, failure=failure)
        failed = Outcome(state=TrialState.FAILED, failure=failure)
        branches = (Branch(params=one.params, outcome=failed) for one in outcome.branches)
        return replace(outcome, branches=tuple(branches))

    def _without_report(
        self,
        state: TrialState,
        *,
        reason: str | None = None,
        cost: Cost | None = None,
        failure: FailureRecord | None = None,
    ) -> Outcome:
        """Return an outcome without a worker's report, with the learning curve so far."""
        return Outcome(
            state=state,
            cost=cost,
            reason=reason,
            failure=failure,
            epochs=self.epochs,
            duration_s=time.monotonic() - self.started_at,
        )
