"""A trial, from its number in the store to the last of its branches.

It imports no sampler, so that a worker, which receives trials, starts sooner.
"""

import time
from dataclasses import dataclass, replace
from enum import StrEnum

from search.errors import ImpossibleValue, NotFinite
from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.records import Branch, Cost, EpochRecord, FailureRecord, Outcome, TrialState
from spaces.recipe import Recipe

_SILENT = FailureRecord(
    kind=PROCESS_DIED,
    message="the trial's process ended without a result; it may have run out of memory",
)


class TrialPhase(StrEnum):
    """The phase of a trial in the tuner; its outcome's `TrialState` records how it ended."""

    PROPOSED = "proposed"  # in the store; it waits for a worker
    RUNNING = "running"  # a worker has it
    ENDED = "ended"  # its own outcome is in the store; its branches may still be made


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe with its number in the store, and everything known about it so far.

    Each step returns a new trial. The one that has just started is sent whole to a worker: it holds
    no network, no curve and no part of the sampler, so that it is small and can be pickled.

    Attributes:
        number: counts from 0 within the study.
        recipe: the recipe to try.
        seed: of weights, order and dropout.
        phase: its phase in the tuner.
        branches: recipes to be made from its trained student, too; None until it first starts.
        doubtful: branches that may break the budget; each is measured before it is made.
        cost: the known or expected cost of its student; None where there is no estimate.
        is_cost_settled: whether `cost` is known to keep to the budget.
        epochs: the learning curve so far.
        stop_reason: why it is stopped early; None while it may go on.
        outcome: its recorded outcome, with the branches that ended; None while it runs.
        deaths: how often its process ended without a result, in this run of the study.
        is_halved: whether its batch was halved, for lack of memory.
        started_at: seconds, by the monotonic clock of the tuner's process.
    """

    number: int
    recipe: Recipe
    seed: int
    phase: TrialPhase = TrialPhase.PROPOSED
    branches: tuple[Recipe, ...] | None = None
    doubtful: frozenset[Recipe] = frozenset()
    cost: Cost | None = None
    is_cost_settled: bool = False
    epochs: tuple[EpochRecord, ...] = ()
    stop_reason: str | None = None
    outcome: Outcome | None = None
    deaths: int = 0
    is_halved: bool = False
    started_at: float = 0.0

    @property
    def settled_cost(self) -> Cost | None:
        """The cost of its student; None where a worker has to measure whether that fits."""
        return self.cost if self.is_cost_settled else None

    @property
    def branches_made(self) -> int:
        """The number of recorded branches."""
        return len(self.outcome.branches) if self.outcome else 0

    @property
    def branches_left(self) -> tuple[Recipe, ...]:
        """The branches that are not recorded, in the order in which they are made."""
        return (self.branches or ())[self.branches_made :]

    @property
    def has_failed(self) -> bool:
        """Whether its own recorded outcome is a failure."""
        return self.outcome is not None and self.outcome.state is TrialState.FAILED

    def started(
        self,
        *,
        branches: tuple[Recipe, ...],
        doubtful: frozenset[Recipe],
        cost: Cost | None,
        is_cost_settled: bool,
    ) -> "Trial":
        """Return the trial as a worker is given it."""
        return replace(
            self,
            phase=TrialPhase.RUNNING,
            branches=branches,
            doubtful=doubtful,
            cost=cost,
            is_cost_settled=is_cost_settled,
            started_at=time.monotonic(),
        )

    def reported(self, point: EpochRecord, *, stop_reason: str | None = None) -> "Trial":
        """Return the trial after an epoch, with the reason to stop then, if there is one."""
        return replace(self, epochs=(*self.epochs, point), stop_reason=stop_reason)

    def ended(self, outcome: Outcome) -> "Trial":
        """Return the trial with this much of its outcome recorded."""
        return replace(self, phase=TrialPhase.ENDED, outcome=outcome)

    def next_try(self, failure: FailureRecord | None, *, retries: int) -> "Trial | None":
        """Return the trial for its next try; None where its failure is final.

        A process that died may have been unlucky: it is tried again unchanged, up to `retries`
        times. Memory that was too small once stays too small: one try with half the batch.
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
            return None  # the method takes no smaller one
        recipe = replace(self.recipe, training=smaller)
        return replace(self, recipe=recipe, branches=None, is_halved=True)

    def final_outcome(self, outcome: Outcome | None, cause: FailureRecord | None) -> Outcome:
        """Return how the trial ended: stopped if the tuner stopped it, else as its worker reported.

        Args:
            outcome: the worker's report; None where its process ended without one.
            cause: why the process ended, where that is known.
        """
        if self.stop_reason:
            return self._cut_short(TrialState.STOPPED, reason=self.stop_reason, cost=self.cost)
        return outcome or self._cut_short(TrialState.FAILED, failure=cause or _SILENT)

    def unrecorded(self, outcome: Outcome) -> Outcome:
        """Return the outcome with only those branches that are not recorded yet."""
        return replace(outcome, branches=outcome.branches[self.branches_made :])

    def with_impossible_value(self, error: ImpossibleValue, outcome: Outcome) -> Outcome:
        """Return the failure that replaces an outcome which can't be stored, or its branches.

        Args:
            error: names the measurement that no network can have.
            outcome: the part that is not recorded yet.
        """
        kind = "non_finite" if isinstance(error, NotFinite) else "impossible_value"
        failure = FailureRecord(kind=kind, message=f"a measurement of it: {error}")
        if self.outcome is None:
            return self._cut_short(TrialState.FAILED, failure=failure)
        failed = Outcome(state=TrialState.FAILED, failure=failure)
        branches = (Branch(params=one.params, outcome=failed) for one in outcome.branches)
        return replace(outcome, branches=tuple(branches))

    def _cut_short(
        self,
        state: TrialState,
        *,
        reason: str | None = None,
        cost: Cost | None = None,
        failure: FailureRecord | None = None,
    ) -> Outcome:
        """Return an outcome that no worker reported, with the learning curve so far."""
        return Outcome(
            state=state,
            cost=cost,
            reason=reason,
            failure=failure,
            epochs=self.epochs,
            duration_s=time.monotonic() - self.started_at,
        )
