"""The tuner, which controls a search: it proposes, stops and records trials.

It is plain Python. `search.ray_backend` lets Ray call it, in one process, one call at a time.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from search.config.study import Study
from search.errors import DiskError, ImpossibleValue, StoreError, StudyHeld
from search.pipeline.failures import DISK_FAULT
from search.progress import Callback
from search.records import EpochRecord, FailureRecord, Outcome, TrialState
from search.search_clock import SearchClock
from search.storage.retrying_writer import RetryingWriter
from search.tuner.branching import expected_branches
from search.tuner.learners import EarlierRuns, Learners
from search.tuner.proposer import Proposer
from search.tuner.trial import Trial, TrialPhase


class Tuner:
    """Tuner of a study: it proposes trials and records their outcomes.

    No other object writes to a running study. The tuner records a trial as running before a worker
    receives it, and as ended before the sampler learns from it. Interrupted trials run first. If
    the store stays unreachable, the search ends: see `fault`.

    Args:
        study: the study.
        learners: propose recipes, predict costs, decide which trials stop, and learn from outcomes.
        writer: writes all records to the store.
        callback: receives the events of the search.
        past: the results of earlier runs; the learners have already learned from them.
        clock: the clock of the search time; by default a new one, for a study without earlier runs.
    """

    def __init__(
        self,
        study: Study,
        *,
        learners: Learners,
        writer: RetryingWriter,
        callback: Callback,
        past: EarlierRuns = EarlierRuns(),  # noqa: B008  frozen
        clock: SearchClock | None = None,
    ) -> None:
        self._study = study
        self._learners = learners
        self._sampler = learners.sampler
        self._gate = learners.gate
        self._writer = writer
        self._callback = callback
        # Trials that wait or run. The first waiting trial starts first.
        self._trials = {trial.number: trial for trial in past.interrupted}
        self._trained = past.trained
        self._proposer = Proposer(self._sampler, callback, is_ending=lambda: self._is_ending)
        self._clock = clock or SearchClock()
        self.draining = False
        self.interrupted = False
        self.fault: StoreError | DiskError | None = None
        """The error that ended the search; None without an error.

        The store could not be written (the results are then in the journal), another process took
        over the study, or a disk is full.
        """

    @property
    def is_over(self) -> bool:
        """Whether no further trial will start."""
        is_used_up = self._proposer.is_exhausted and not self._trials
        return self._is_ending or not self.missing or is_used_up

    @property
    def missing(self) -> int:
        """The number of trials that are still to be trained, including running trials."""
        return max(0, self._study.search.trials - self._trained)

    @property
    def left_by_time(self) -> int:
        """The number of missing trials after the time limit; 0 before it."""
        return self.missing if self._is_late else 0

    @property
    def _is_late(self) -> bool:
        """Whether the search time is used up."""
        return self._clock.elapsed_s > (self._study.search.max_time or math.inf)

    @property
    def _is_ending(self) -> bool:
        """Whether the search ends: running trials end, and make no further branches."""
        return self.draining or self._is_late

    @property
    def _is_lost(self) -> bool:
        return isinstance(self.fault, StudyHeld)

    @property
    def _wants_more(self) -> bool:
        running = sum(trial.phase is TrialPhase.RUNNING for trial in self._trials.values())
        return not self.is_over and running < self.missing

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
        """End the search and record nothing more, because another process runs the study now."""
        if not self._is_lost:
            self._callback.log(str(fault))
        self.fault = fault
        self.draining = True

    def next(self) -> Trial | None:
        """Start and return the next trial; None if there is none at present, or none at all.

        The first call starts the clock of the search.
        """
        self._clock.start()
        if not self._wants_more:
            return None
        try:
            trial = self._restarted() or self._proposed()
            return self._started(trial) if trial else None
        except (StoreError, DiskError) as error:
            self._end_with(error)
            return None

    def look_ahead(self) -> None:
        """Choose the next recipe in advance, if a worker will be free soon.

        A worker will be free soon if its trial has reported its own outcome and now makes branches.
        """
        about_to_end = any(trial.phase is TrialPhase.ENDED for trial in self._trials.values())
        if about_to_end and not self._waiting and self._wants_more:
            try:
                self._proposer.look_ahead()
            except (StoreError, DiskError) as error:
                self._end_with(error)

    def _restarted(self) -> Trial | None:
        """Record the longest-waiting trial in the store as running again, and return it."""
        if trial := self._waiting:
            self._writer.restart(trial.number, trial.recipe.to_params())
        return trial

    def _proposed(self) -> Trial | None:
        """Record a trial of a new recipe as running, and return it; None if no recipe is found."""
        recipe = self._proposer.take(others_wait=bool(self._trials))
        if recipe is None:
            return None
        number = self._writer.start(recipe.to_params(), self._study.seed)
        return Trial(number=number, recipe=recipe, seed=self._study.seed)

    def _started(self, trial: Trial) -> Trial:
        recipe, branches = trial.recipe, trial.branches
        if branches is None:
            prunings = self._study.search.branches
            branches = expected_branches(recipe, self._sampler, self._gate, prunings=prunings)
        cost = self._gate.fitting_cost(recipe)
        trial = trial.started(
            branches=branches,
            doubtful=frozenset(one for one in branches if self._gate.may_fit(one) is None),
            cost=cost or self._gate.feasibility.predict(recipe),
            is_known_to_fit=cost is not None,
        )
        self._trials[trial.number] = trial
        self._callback.on_trial_start(trial.number, recipe.to_params())
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
        reason = self._learners.reason_to_stop(trial, point)
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
        """Record a trial's final outcome and report it to the learners, or schedule a retry.

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
        again = trial.next_try(failure, retries=self._study.run.retries)
        if again is None or failure is None:
            return False
        if again.recipe != trial.recipe:
            if not self._sampler.expect(again.recipe):
                return False  # another trial has the recipe with the smaller batch
            self._sampler.tell(trial.recipe, outcome)
            self._release_branches(trial)
        self._trials[again.number] = again
        how = " with half the batch size" if again.is_halved != trial.is_halved else ""
        self._callback.log(
            f"trial {trial.number} is retried{how}: {failure.kind}, {failure.message}"
        )
        return True

    def _release_branches(self, trial: Trial) -> None:
        """Allow the sampler to propose the recipes of branches that were not made."""
        for branch in trial.branches_left:
            self._sampler.release(branch)
            self._proposer.look_again()

    def _record(self, trial: Trial, outcome: Outcome) -> Trial:
        """Store the new part of the outcome, report it to the learners, and return the trial."""
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

    def _learn_trial(self, trial: Trial, outcome: Outcome) -> None:
        self._learners.tell(trial.recipe, outcome, trial=trial.number, seed=trial.seed)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        if outcome.state is TrialState.COMPLETE:
            self._proposer.look_again()  # the new result may lead to new recipes
        self._callback.on_trial_end(trial.number, trial.recipe.to_params(), outcome)

    def _learn_branches(self, trial: Trial, outcome: Outcome, numbers: Sequence[int]) -> None:
        """Report the branches of the outcome to the learners; `numbers` are those in the store."""
        recipes = trial.branches_left[: len(numbers)]
        for recipe, branch, number in zip(recipes, outcome.branches, numbers, strict=True):
            self._learners.tell(
                recipe, branch.outcome, trial=trial.number, seed=trial.seed, is_branch=True
            )
            self._callback.on_trial_end(number, branch.params, branch.outcome)

    def _ended_by_disk_fault(self, outcome: Outcome | None, cause: FailureRecord | None) -> bool:
        """End the search if a disk fault ended the trial, which then runs again at resume."""
        failure = outcome.failure if outcome else cause
        if failure is None or failure.kind != DISK_FAULT:
            return False
        self._end_with(DiskError(failure.message))
        return True

    def _end_with(self, fault: StoreError | DiskError) -> None:
        """End the search because the store or a disk can't be written. Running trials may end."""
        if isinstance(fault, StudyHeld):
            self.on_lease_lost(fault)
            return
        if self.fault is None:
            self._callback.log(str(fault))
        self.fault = self.fault or fault
        self.draining = True
