"""The tuner, which runs a search: it proposes, stops and records trials, in a fixed order.

Plain Python; `search.ray_backend` lets Ray call it, in one process, one call at a time.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from search.config.study import Study
from search.errors import DiskError, ImpossibleValue, StoreError, StudyHeld
from search.pipeline.failures import DISK_FAULT
from search.progress import Callback
from search.records import EpochRecord, FailureRecord, Outcome, TrialState
from search.storage.retrying_writer import RetryingWriter
from search.tuner.branching import expected_branches
from search.tuner.learners import EarlierRuns, Learners
from search.tuner.proposer import Proposer
from search.tuner.trial import Trial, TrialPhase


class Tuner:
    """Tuner of a study: it proposes, records and learns, and alone writes to a running study.

    A trial is in the store as running before a worker is given it, and as ended before the sampler
    is told. Interrupted trials run first. A store that stays out of reach ends the search: see
    `fault`.

    Args:
        study: the study.
        learners: propose recipes, know their costs and which are hopeless; are told of outcomes.
        writer: keeps all records.
        callback: is told of events, too.
        past: the results of earlier runs; the learners know them already.
        elapsed_s: how long earlier runs searched.
    """

    def __init__(
        self,
        study: Study,
        *,
        learners: Learners,
        writer: RetryingWriter,
        callback: Callback,
        past: EarlierRuns = EarlierRuns(),  # noqa: B008  frozen
        elapsed_s: float = 0.0,
    ) -> None:
        self._study = study
        self._learners = learners
        self._sampler = learners.sampler
        self._gate = learners.gate
        self._writer = writer
        self._callback = callback
        # Trials that wait or run; the first that waits is the first to start.
        self._trials = {trial.number: trial for trial in past.interrupted}
        self._trained = past.trained
        self._proposer = Proposer(self._sampler, callback, is_ending=lambda: self._is_ending)
        self._deadline = time.monotonic() + (study.search.max_time or float("inf")) - elapsed_s
        self.draining = False
        self.interrupted = False
        self.fault: StoreError | DiskError | None = None
        """Why the store could not be written; the results are then in the journal.

        Or who has taken the study over, or which disk is full. None if nothing is wrong.
        """

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to be started."""
        is_used_up = self._proposer.is_exhausted and not self._trials
        return self._is_ending or not self.missing or is_used_up

    @property
    def missing(self) -> int:
        """The number of trials still to be trained, running ones included."""
        return max(0, self._study.search.trials - self._trained)

    @property
    def left_by_time(self) -> int:
        """The number of trials for which the search had no time left."""
        return self.missing if time.monotonic() > self._deadline else 0

    @property
    def _is_ending(self) -> bool:
        """Whether running trials are to end, without further branches."""
        return self.draining or time.monotonic() > self._deadline

    @property
    def _is_lost(self) -> bool:
        return isinstance(self.fault, StudyHeld)

    @property
    def _wants_more(self) -> bool:
        running = sum(trial.phase is TrialPhase.RUNNING for trial in self._trials.values())
        return not self.is_over and running < self.missing

    @property
    def _waiting(self) -> Trial | None:
        """The trial that has waited the longest for a worker."""
        waiting = (one for one in self._trials.values() if one.phase is TrialPhase.PROPOSED)
        return next(waiting, None)

    def interrupt(self, why: str) -> None:
        """Let running trials end and start no other; the rest can be resumed."""
        self.interrupted = self.draining = True
        self._callback.log(why)

    def on_lease_lost(self, fault: StudyHeld) -> None:
        """End the search, as another process runs the study now: record nothing more."""
        if not self._is_lost:
            self._callback.log(str(fault))
        self.fault = fault
        self.draining = True

    def next(self) -> Trial | None:
        """Start the next trial; None where there is none, for now or at all."""
        if not self._wants_more:
            return None
        try:
            trial = self._restarted() or self._proposed()
            return self._started(trial) if trial else None
        except (StoreError, DiskError) as error:
            self._give_up(error)
            return None

    def look_ahead(self) -> None:
        """Choose the next trial while all workers are busy, once one of them is about to be free.

        A trial's own result is known as soon as only its branches are under way.
        """
        about_to_end = any(trial.phase is TrialPhase.ENDED for trial in self._trials.values())
        if about_to_end and not self._waiting and self._wants_more:
            try:
                self._proposer.look_ahead()
            except (StoreError, DiskError) as error:
                self._give_up(error)

    def _restarted(self) -> Trial | None:
        """Return the trial that has waited the longest, marked in the store as running again."""
        if trial := self._waiting:
            self._writer.restart(trial.number, trial.recipe.to_params())
        return trial

    def _proposed(self) -> Trial | None:
        """Return a trial of a new recipe, stored as running; None where no recipe is found."""
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
        settled = self._gate.settled_cost(recipe)
        trial = trial.started(
            branches=branches,
            doubtful=frozenset(one for one in branches if self._gate.may_fit(one) is None),
            cost=settled or self._gate.feasibility.predict(recipe),
            is_cost_settled=settled is not None,
        )
        self._trials[trial.number] = trial
        self._callback.on_trial_start(trial.number, recipe.to_params())
        return trial

    def on_trial_report(self, number: int, point: EpochRecord) -> bool:
        """Learn from an epoch of a trial; return whether the trial may go on."""
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
        """Record a trial's own outcome, or more branches; return whether to make the next one."""
        if self._is_lost:
            return False
        trial = self._recorded(self._trials[number], outcome)
        self._trials[number] = trial
        return not trial.has_failed and not self._is_ending

    def on_trial_end(
        self, number: int, outcome: Outcome | None, cause: FailureRecord | None = None
    ) -> None:
        """Record how a trial ended, then tell the sampler; or let it be tried once more.

        Args:
            number: the trial's.
            outcome: its own report; None where its process ended without one.
            cause: why it ended so, where that is known.
        """
        trial = self._trials.pop(number)
        if self._is_lost or self._lacks_disk(outcome, cause):
            outcome = None
        elif trial.phase is TrialPhase.RUNNING:
            outcome = trial.final_outcome(outcome, cause)
            if self._is_tried_again(trial, outcome):
                return
        elif cause:
            self._callback.log(
                f"trial {number} ended with {trial.branches_made} of "
                f"{len(trial.branches or ())} branches: {cause.kind}, {cause.message}"
            )
        if outcome:
            trial = self._recorded(trial, outcome)
        self._release_branches(trial)
        self._callback.on_trial_exit(number)

    def _is_tried_again(self, trial: Trial, outcome: Outcome) -> bool:
        """Return whether the trial runs again instead of ending; it then waits for its next try."""
        failure = outcome.failure
        again = trial.next_try(failure, retries=self._study.run.retries)
        if again is None or failure is None:
            return False
        if again.recipe != trial.recipe:
            if not self._sampler.expect(again.recipe):
                return False  # another trial has that recipe
            self._sampler.tell(trial.recipe, outcome)
            self._release_branches(trial)
        self._trials[again.number] = again
        how = "with half the batch" if again.is_halved != trial.is_halved else "once more"
        self._callback.log(
            f"trial {trial.number} is tried {how}: {failure.kind}, {failure.message}"
        )
        return True

    def _release_branches(self, trial: Trial) -> None:
        """Let the sampler propose the branches that were not made."""
        for branch in trial.branches_left:
            self._sampler.release(branch)
            self._proposer.look_again()

    def _recorded(self, trial: Trial, outcome: Outcome) -> Trial:
        """Return the trial with the whole outcome stored and known to the learners."""
        is_new, new = trial.outcome is None, trial.unrecorded(outcome)
        if not is_new and not new.branches:
            return trial
        try:
            new, numbers = self._written(trial, new)
            if is_new:
                self._learn_trial(trial, new)
            self._learn_branches(trial, new, numbers)
        except StoreError as error:
            self._give_up(error)
            return trial.ended(outcome)  # it is in the journal, or another's
        return trial.ended(replace(new, branches=outcome.branches))

    def _written(self, trial: Trial, outcome: Outcome) -> tuple[Outcome, Sequence[int]]:
        """Return the stored outcome, a failure if it can't be true; and its branches' numbers."""
        try:
            return outcome, self._writer.finish(trial.number, outcome)
        except ImpossibleValue as error:
            failed = trial.with_impossible_value(error, outcome)
            return failed, self._writer.finish(trial.number, failed)

    def _learn_trial(self, trial: Trial, outcome: Outcome) -> None:
        self._learners.tell(trial.recipe, outcome, trial=trial.number, seed=trial.seed)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        if outcome.state is TrialState.COMPLETE:
            self._proposer.look_again()  # its results may lead to others
        self._callback.on_trial_end(trial.number, trial.recipe.to_params(), outcome)

    def _learn_branches(self, trial: Trial, outcome: Outcome, numbers: Sequence[int]) -> None:
        """Learn the branches of the outcome, which have these numbers in the store."""
        recipes = trial.branches_left[: len(numbers)]
        for recipe, branch, number in zip(recipes, outcome.branches, numbers, strict=True):
            self._learners.tell(
                recipe, branch.outcome, trial=trial.number, seed=trial.seed, is_branch=True
            )
            self._callback.on_trial_end(number, branch.params, branch.outcome)

    def _lacks_disk(self, outcome: Outcome | None, cause: FailureRecord | None) -> bool:
        """Return whether a disk is full: the search ends, and the trial runs again at resume."""
        failure = outcome.failure if outcome else cause
        if failure is None or failure.kind != DISK_FAULT:
            return False
        self._give_up(DiskError(failure.message))
        return True

    def _give_up(self, fault: StoreError | DiskError) -> None:
        """End the search for lack of store or disk. Running trials may end."""
        if isinstance(fault, StudyHeld):
            self.on_lease_lost(fault)
            return
        if self.fault is None:
            self._callback.log(str(fault))
        self.fault = self.fault or fault
        self.draining = True
