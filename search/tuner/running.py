"""A trial under way, from its dispatch to the last of its branches."""

import time
from dataclasses import dataclass, field, replace

from search.errors import NotFinite
from search.pipeline.failures import PROCESS_DIED
from search.records import Branch, Cost, EpochRecord, FailureRecord, Outcome, TrialState
from search.tuner.dispatch import Dispatch
from search.tuner.retries import PendingTrial

_SILENT = FailureRecord(
    kind=PROCESS_DIED,
    message="the trial's process ended without a result; it may have run out of memory",
)


@dataclass
class Running:
    """A trial under way, as the driver sees it.

    Attributes:
        dispatch: what was sent out.
        candidate: what it was made of.
        cost: what it is known, or expected, to cost.
        epochs: its learning curve so far.
        stopped: why it is to stop, if it is.
        recorded: how it ended, with the branches that have ended since; None while it trains.
    """

    dispatch: Dispatch
    candidate: PendingTrial
    cost: Cost | None
    epochs: list[EpochRecord] = field(default_factory=list)
    stopped: str | None = None
    recorded: Outcome | None = None
    started: float = field(default_factory=time.monotonic)

    def settled(self, outcome: Outcome | None, cause: FailureRecord | None) -> Outcome:
        """How it ended, whatever it said of that itself."""
        if self.stopped:
            return self._cut_short(TrialState.STOPPED, reason=self.stopped, cost=self.cost)
        return outcome or self._cut_short(TrialState.FAILED, failure=cause or _SILENT)

    def unrecorded(self, outcome: Outcome) -> Outcome:
        """The outcome with no more branches than have ended since the last word."""
        known = len(self.recorded.branches) if self.recorded else 0
        return replace(outcome, branches=outcome.branches[known:])

    def not_finite(self, error: NotFinite, outcome: Outcome) -> Outcome:
        """Failed, as a measurement is no number; its own, or one of its branches'."""
        failure = FailureRecord(kind="non_finite", message=f"a measurement of it: {error}")
        if self.recorded is None:
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
        return Outcome(
            state=state,
            cost=cost,
            reason=reason,
            failure=failure,
            epochs=tuple(self.epochs),
            duration_s=time.monotonic() - self.started,
        )
