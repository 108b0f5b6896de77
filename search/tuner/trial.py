"""A trial, from its number in the store to the last of its branches.

It imports no sampler, so that a worker, which is sent trials, starts the sooner.
"""

import time
from dataclasses import dataclass, replace
from enum import StrEnum

from search.errors import NotFinite
from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.records import Branch, Cost, EpochRecord, FailureRecord, Outcome, TrialState
from spaces.recipe import Recipe

_SILENT = FailureRecord(
    kind=PROCESS_DIED,
    message="the trial's process ended without a result; it may have run out of memory",
)


class TrialPhase(StrEnum):
    """Where a trial stands in the tuner; how it ended is its outcome's `TrialState`."""

    PROPOSED = "proposed"  # in the store; it waits for a worker
    RUNNING = "running"  # a worker has it
    ENDED = "ended"  # its own outcome is in the store; its branches may still be made


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe with its number in the store, and all that is known of it so far.

    Each step gives a new trial. The one that has just started is sent to a worker, whole: it holds
    no network, no curve and nothing of the sampler's, so that it is small and can be pickled.

    Attributes:
        number: counts from 0 within the study.
        recipe: what to do.
        seed: of weights, order and dropout.
        phase: where it stands.
        branches: recipes that are to be made of its trained student too; None until it first
            starts.
        doubtful: branches that may break the budget; each is measured before it is made.
        cost: what its student is known, or expected, to cost; None where nothing tells.
        is_cost_settled: whether `cost` is known to keep to the budget.
        epochs: the learning curve so far.
        stop_reason: why it is stopped early; None while it may go on.
        outcome: what is recorded of it, with the branches that ended; None while it runs.
        deaths: how often its process ended without a result, in this run of the study.
        is_halved: whether its batch was halved, for want of memory.
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
        """What its student costs; None where a worker has to measure whether that fits."""
        return self.cost if self.is_cost_settled else None

    @property
    def branches_made(self) -> int:
        """How many of the branches are recorded."""
        return len(self.outcome.branches) if self.outcome else 0

    @property
    def branches_left(self) -> tuple[Recipe, ...]:
        """The branches that are not recorded; they are made in their order."""
        return (self.branches or ())[self.branches_made :]

    @property
    def has_failed(self) -> bool:
        """Whether its own outcome, as recorded, is a failure."""
        return self.outcome is not None and self.outcome.state is TrialState.FAILED

    def started(
        self,
        *,
        branches: tuple[Recipe, ...],
        doubtful: frozenset[Recipe],
        cost: Cost | None,
        is_cost_settled: bool,
    ) -> "Trial":
        """The trial as a worker is given it."""
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
        """The trial after an epoch, and why it is to stop then, if it is."""
        return replace(self, epochs=(*self.epochs, point), stop_reason=stop_reason)

    def ended(self, outcome: Outcome) -> "Trial":
        """The trial with this much of its outcome recorded."""
        return replace(self, phase=TrialPhase.ENDED, outcome=outcome)

    def next_try(self, failure: FailureRecord | None, *, retries: int) -> "Trial | None":
        """The trial as it is proposed once more; None where its failure is to stand.

        A process that died may have been unlucky: the same again, up to `retries` times. Memory
        that did not suffice once won't suffice again: one try with half the batch.
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
        """How the trial ended: stopped if the tuner stopped it, else as its worker said.

        Args:
            outcome: the worker's word; None where its process ended without one.
            cause: why the process ended, where that is known.
        """
        if self.stop_reason:
            return self._cut_short(TrialState.STOPPED, reason=self.stop_reason, cost=self.cost)
        return outcome or self._cut_short(TrialState.FAILED, failure=cause or _SILENT)

    def unrecorded(self, outcome: Outcome) -> Outcome:
        """The outcome with those of its branches alone that are not recorded yet."""
        return replace(outcome, branches=outcome.branches[self.branches_made :])

    def not_finite(self, error: NotFinite, outcome: Outcome) -> Outcome:
        """The failure that stands for an outcome which can't be stored, or for its branches.

        Args:
            error: names the measurement that is no finite number.
            outcome: what is not recorded yet.
        """
        failure = FailureRecord(kind="non_finite", message=f"a measurement of it: {error}")
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
        """An outcome that no worker gave, with the learning curve up to here."""
        return Outcome(
            state=state,
            cost=cost,
            reason=reason,
            failure=failure,
            epochs=self.epochs,
            duration_s=time.monotonic() - self.started_at,
        )
