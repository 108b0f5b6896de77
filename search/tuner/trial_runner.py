"""The part of a tuner that runs trials: it records their outcomes, and retries or ends them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from search.errors import DiskError, ImpossibleValue, StoreError, StudyHeld
from search.pipeline.failures import DISK_FAULT
from search.progress import Callback
from search.records import EpochRecord, FailureRecord, Outcome
from search.storage.retrying_writer import RetryingWriter
from search.tuner.trial import Trial, TrialPhase


class TrialRunner(ABC):
    """Runner of trials, which `search.ray_backend` calls: one process, one call at a time.

    A subclass decides which trial is next, and what follows from an outcome. A trial is recorded as
    running before a worker receives it. If the store stays unreachable, the run ends: see `fault`.

    Args:
        writer: writes all records to the store.
        callback: receives the events of the run.
        retries: how often a trial runs again after its process died.
        waiting: trials that wait for a worker. The first one starts first.
    """

    def __init__(
        self,
        *,
        writer: RetryingWriter,
        callback: Callback,
        retries: int,
        waiting: Iterable[Trial] = (),
    ) -> None:
        self._writer = writer
        self._callback = callback
        self._retries = retries
        # Trials that wait or run.
        self._trials = {trial.number: trial for trial in waiting}
        self.draining = False
        self.interrupted = False
        self.fault: StoreError | DiskError | None = None
        """The error that ended the run; None without an error.

        The store could not be written (the results are then in the journal), another process took
        over the study, or a disk is full.
        """

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether no further trial will start."""

    @property
    @abstractmethod
    def missing(self) -> int:
        """The number of trials that are still to be trained, including running trials."""

    @property
    @abstractmethod
    def left_by_time(self) -> int:
        """The number of missing trials after the time limit; 0 before it."""

    @property
    @abstractmethod
    def _is_ending(self) -> bool:
        """Whether the run ends: running trials end, and make no further branches."""

    @abstractmethod
    def next(self) -> Trial | None:
        """Start and return the next trial; None if there is none at present, or none at all."""

    @abstractmethod
    def look_ahead(self) -> None:
        """Prepare the next trial, if a worker will be free soon."""

    def _reason_to_stop(self, trial: Trial, point: EpochRecord) -> str | None:
        """Return why a trial should stop after this epoch; by default None."""
        return None

    def _may_retry(self, trial: Trial, again: Trial, outcome: Outcome) -> bool:
        """Return whether a failed trial may run as `again`; by default True."""
        return True

    @abstractmethod
    def _release_branches(self, trial: Trial) -> None:
        """Give up the branches of a trial that were not made."""

    @abstractmethod
    def _learn_trial(self, trial: Trial, outcome: Outcome) -> None:
        """Learn from a recorded outcome, and report it to the callback."""

    @abstractmethod
    def _learn_branches(self, trial: Trial, outcome: Outcome, numbers: Sequence[int]) -> None:
        """Learn from the branches of an outcome; `numbers` are those in the store."""

    @property
    def _is_lost(self) -> bool:
        return isinstance(self.fault, StudyHeld)

    @property
    def _waiting(self) -> Trial | None:
        """The trial that has waited the longest for a worker; None if no trial waits."""
        waiting = (one for one in self._trials.values() if one.phase is TrialPhase.PROPOSED)
        return next(waiting, None)

    def interrupt(self, why: str) -> None:
        """Let running trials end and start no other trial; the study can be resumed."""
        self.interrupted = self.draining = True
        self._callback.log(why)

    def on_lease_lost(self, fault: StudyHeld) -> None:
        """End the run and record nothing more, because another process runs the study now."""
        if not self._is_lost:
            self._callback.log(str(fault))
        self.fault = fault
        self.draining = True

    def _restarted(self) -> Trial | None:
        """Record the longest-waiting trial in the store as running again, and return it."""
        if trial := self._waiting:
            self._writer.restart(trial.number, trial.recipe.to_params())
        return trial

    def on_trial_report(self, number: int, point: EpochRecord) -> bool:
        """Record an epoch of a trial; return whether the trial may continue."""
        self._callback.on_trial_report(number, point)
        trial = self._trials[number]
        if trial.phase is TrialPhase.ENDED:
            return not self._is_ending
        if self._is_lost:
            # Another process owns this trial number and its folder now.
            return False
        reason = self._reason_to_stop(trial, point)
        self._trials[number] = trial.reported(point, stop_reason=reason)
        return reason is None

    def on_trial_result(self, number: int, outcome: Outcome) -> bool:
        """Record a trial's own outcome, or further branches; return whether the trial continues."""
        if self._is_lost:
            return False
        trial = self._record(self._trials[number], outcome)
        self._trials[number] = trial
        return not trial.has_failed and not self._is_ending

    def on_trial_end(
        self, number: int, outcome: Outcome | None, cause: FailureRecord | None = None
    ) -> None:
        """Record a trial's final outcome and learn from it, or schedule a retry.

        Args:
            number: the trial's number.
            outcome: the worker's report; None if its process ended without a report.
            cause: why the process ended; None if unknown.
        """
        trial = self._trials.pop(number)
        if self._is_lost or self._ended_by_disk_fault(outcome, cause):
            outcome = None
        elif trial.phase is TrialPhase.RUNNING:
            outcome = trial.final_outcome(outcome, cause)
            if self._schedule_retry(trial, outcome):
                return
        elif cause:
            self._callback.log(
                f"trial {number} ended with {trial.branches_made} of "
                f"{len(trial.branches or ())} branches: {cause.kind}, {cause.message}"
            )
        if outcome:
            trial = self._record(trial, outcome)
        self._release_branches(trial)
        self._callback.on_trial_exit(number)

    def _schedule_retry(self, trial: Trial, outcome: Outcome) -> bool:
        """Schedule the next try of a failed trial; return False if the failure is final."""
        failure = outcome.failure
        again = trial.next_try(failure, retries=self._retries)
        if again is None or failure is None or not self._may_retry(trial, again, outcome):
            return False
        self._trials[again.number] = again
        how = " with half the batch size" if again.is_halved != trial.is_halved else ""
        self._callback.log(
            f"trial {trial.number} is retried{how}: {failure.kind}, {failure.message}"
        )
        return True

    def _record(self, trial: Trial, outcome: Outcome) -> Trial:
        """Store the new part of the outcome, learn from it, and return the trial."""
        is_new, new = trial.outcome is None, trial.unrecorded(outcome)
        if not is_new and not new.branches:
            return trial
        try:
            new, numbers = self._write(trial, new)
            if is_new:
                self._learn_trial(trial, new)
            self._learn_branches(trial, new, numbers)
        except StoreError as error:
            self._end_with(error)
            return trial.ended(outcome)  # the journal has it, or another process owns the trial
        return trial.ended(replace(new, branches=outcome.branches))

    def _write(self, trial: Trial, outcome: Outcome) -> tuple[Outcome, Sequence[int]]:
        """Store the outcome, or FAILED if it is impossible; return it and its branches' numbers."""
        try:
            return outcome, self._writer.finish(trial.number, outcome)
        except ImpossibleValue as error:
            failed = trial.with_impossible_value(error, outcome)
            return failed, self._writer.finish(trial.number, failed)

    def _ended_by_disk_fault(self, outcome: Outcome | None, cause: FailureRecord | None) -> bool:
        """End the run if a disk fault ended the trial, which then runs again at resume."""
        failure = outcome.failure if outcome else cause
        if failure is None or failure.kind != DISK_FAULT:
            return False
        self._end_with(DiskError(failure.message))
        return True

    def _end_with(self, fault: StoreError | DiskError) -> None:
        """End the run because the store or a disk can't be written. Running trials may end."""
        if isinstance(fault, StudyHeld):
            self.on_lease_lost(fault)
            return
        if self.fault is None:
            self._callback.log(str(fault))
        self.fault = self.fault or fault
        self.draining = True
