"""What drives a search: which recipe is next, who stops, who is told, and in which order.

Plain Python; `search.ray_backend` lets Ray call it, in one process, one call at a time.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from search.config.study import Study
from search.errors import DiskError, NotFinite, StoreError, StudyHeld
from search.pipeline.failures import DISK_FAULT
from search.progress import Callback
from search.records import EpochRecord, FailureRecord, Outcome, TrialState
from search.samplers.learning_curve import learning_curve
from search.samplers.optuna_adapter import Proposal
from search.storage.retrying_writer import RetryingWriter
from search.tuner.branching import branches_of
from search.tuner.dispatch import Dispatch
from search.tuner.learners import Learners
from search.tuner.proposing import Proposing
from search.tuner.replay import ReplayedStudy
from search.tuner.retries import PendingTrial, next_try
from search.tuner.running import Running
from spaces.recipe import Recipe


class Tuner:
    """Proposes, records and learns. The only writer of a running study.

    A trial is in the store as running before it is dispatched, and as ended before the sampler
    hears of it. What was interrupted goes first. A store that stays out of reach ends the search:
    see `fault`.

    Args:
        study: the study.
        learners: asked for recipes, what they cost and who is hopeless; told of outcomes.
        writer: where everything is kept.
        callback: told as well.
        past: what earlier runs came to, which the learners have heard already.
        elapsed_s: how long they searched.
    """

    def __init__(
        self,
        study: Study,
        *,
        learners: Learners,
        writer: RetryingWriter,
        callback: Callback,
        past: ReplayedStudy = ReplayedStudy(),  # noqa: B008  frozen
        elapsed_s: float = 0.0,
    ) -> None:
        self._study = study
        self._space = study.search_space()
        self._learners = learners
        self._sampler = learners.sampler
        self._gate = learners.gate
        self._writer = writer
        self._callback = callback
        self._running: dict[int, Running] = {}
        self._waiting = deque(past.interrupted)
        self._trained = past.trained
        self._proposing = Proposing(self._sampler, callback, is_ending=lambda: self._is_ending)
        self._deadline = time.monotonic() + (study.search.max_time or float("inf")) - elapsed_s
        self.draining = False
        self.interrupted = False
        self.fault: StoreError | DiskError | None = None
        """Why the store could not be written, if it could not; results are in the journal then.

        Or who has taken the study over, or which disk is full.
        """

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to be dispatched."""
        return (
            self._is_ending
            or not self.missing
            or (self._proposing.is_exhausted and not self._running and not self._waiting)
        )

    @property
    def _is_ending(self) -> bool:
        """Whether what runs is to end, and no more is to be made of it."""
        return self.draining or time.monotonic() > self._deadline

    @property
    def left_by_time(self) -> int:
        """How many trials the search's time did not suffice for."""
        return self.missing if time.monotonic() > self._deadline else 0

    def interrupt(self, why: str) -> None:
        """Lets running trials end and dispatches no other; what is left can be resumed."""
        self.interrupted = self.draining = True
        self._callback.log(why)

    def lose(self, fault: StudyHeld) -> None:
        """Hears that another process has taken the study over: what runs here is for nothing."""
        if not self._is_lost:
            self._callback.log(str(fault))
        self.fault = fault
        self.draining = True

    @property
    def _is_lost(self) -> bool:
        return isinstance(self.fault, StudyHeld)

    def next(self) -> Dispatch | None:
        """The next trial to run, on record already; None where there is none, for now or at all."""
        if not self._wants_more:
            return None
        try:
            candidate = self._again() if self._waiting else self._new()
            return self._dispatch(candidate) if candidate else None
        except (StoreError, DiskError) as error:
            self._give_up(error)
            return None

    def look_ahead(self) -> None:
        """Chooses the next trial while all workers are busy, once one of them is about to be free.

        What a trial has taught is known as soon as its branches alone are under way.
        """
        about_to_end = any(running.recorded for running in self._running.values())
        if about_to_end and not self._waiting and self._wants_more:
            try:
                self._proposing.look_ahead()
            except (StoreError, DiskError) as error:
                self._give_up(error)

    @property
    def missing(self) -> int:
        """How many trials are still to be trained, those under way included."""
        return max(0, self._study.search.trials - self._trained)

    @property
    def _wants_more(self) -> bool:
        training = sum(running.recorded is None for running in self._running.values())
        return not self.is_over and training < self.missing

    def _again(self) -> PendingTrial:
        candidate = self._waiting[0]
        self._writer.restart(candidate.number, candidate.recipe.to_params())
        return self._waiting.popleft()

    def _new(self) -> PendingTrial | None:
        proposal = self._proposing.take(others_wait=bool(self._running))
        if proposal is None:
            return None
        recipe, seed = proposal.recipe, self._study.seed
        number = self._writer.start(recipe.to_params(), seed)
        return PendingTrial(number=number, recipe=recipe, seed=seed, proposal=proposal)

    def _dispatch(self, candidate: PendingTrial) -> Dispatch:
        recipe, branches = candidate.recipe, candidate.branches
        if branches is None:
            branches = tuple(self._branches(recipe))
        dispatch = Dispatch(
            number=candidate.number,
            recipe=recipe,
            seed=candidate.seed,
            foreseen=self._gate.settled_cost(recipe),
            branches=branches,
            doubtful=frozenset(one for one in branches if self._gate.may_fit(one) is None),
        )
        cost = dispatch.foreseen or self._gate.feasibility.predict(recipe)
        self._running[dispatch.number] = Running(dispatch, candidate, cost)
        self._callback.on_trial_start(dispatch.number, recipe.to_params())
        return dispatch

    def advance(self, number: int, point: EpochRecord) -> bool:
        """Hears of an epoch; whether the trial may go on."""
        running = self._running[number]
        self._callback.on_trial_report(number, point)
        if running.recorded:
            return not self._is_ending
        if self._is_lost:
            # Its number is the other's by now, and so is the folder that it would be written to.
            return False
        running.epochs.append(point)
        early_stopping = self._learners.early_stopping
        if early_stopping and running.cost:
            metric = early_stopping.metric
            for share, utility in learning_curve(running.dispatch.recipe, [point], metric):
                running.stopped = early_stopping.should_stop(
                    number, share=share, utility=utility, cost=running.cost
                )
        return running.stopped is None

    def hear(self, number: int, outcome: Outcome) -> bool:
        """Records what a trial has come to so far; whether its next branch is to be made.

        Args:
            number: the trial's.
            outcome: its own, with the branches that have ended.
        """
        if self._is_lost:
            return False
        running = self._running[number]
        self._record(running, outcome)
        failed = running.recorded is not None and running.recorded.state is TrialState.FAILED
        return not failed and not self._is_ending

    def end(self, number: int, outcome: Outcome | None, cause: FailureRecord | None = None) -> None:
        """Records how a trial ended, then tells the sampler; or lets it be tried once more.

        Args:
            number: the trial's.
            outcome: its own word; None where its process ended without one.
            cause: why it did, where that is known.
        """
        running = self._running.pop(number)
        if self._is_lost or self._lacks_disk(outcome, cause):
            outcome = None
        elif running.recorded is None:
            outcome = running.settled(outcome, cause)
            if self._tries_again(running, outcome):
                return
        elif cause:
            self._callback.log(
                f"trial {number} ended with {len(running.recorded.branches)} of "
                f"{len(running.dispatch.branches)} branches: {cause.kind}, {cause.message}"
            )
        if outcome:
            self._record(running, outcome)
        self._release_branches(running)
        self._callback.on_trial_exit(number)

    def _lacks_disk(self, outcome: Outcome | None, cause: FailureRecord | None) -> bool:
        """Whether a disk took no more: the search ends, and the trial is run again at resume."""
        failure = outcome.failure if outcome else cause
        if failure is None or failure.kind != DISK_FAULT:
            return False
        self._give_up(DiskError(failure.message))
        return True

    def _release_branches(self, running: Running) -> None:
        """Those that were not made may be proposed."""
        made = len(running.recorded.branches) if running.recorded else 0
        for branch in running.dispatch.branches[made:]:
            self._sampler.release(branch)
            self._proposing.hope()

    def _tries_again(self, running: Running, outcome: Outcome) -> bool:
        candidate, failure = running.candidate, outcome.failure
        again = next_try(candidate, failure, retries=self._study.run.retries)
        if again is None or failure is None:
            return False
        same = again.recipe == candidate.recipe
        if not same and not self._sampler.expect(again.recipe):
            return False  # another trial has that recipe
        if same:
            again = again.with_branches(running.dispatch.branches)
        else:
            # Of this recipe it was the last word.
            self._learners.tell_sampler(
                candidate.recipe, outcome, branch=False, proposal=candidate.proposal
            )
            self._release_branches(running)
        self._waiting.append(again)
        how = "with half the batch" if again.halved != candidate.halved else "once more"
        self._callback.log(
            f"trial {candidate.number} is tried {how}: {failure.kind}, {failure.message}"
        )
        return True

    def _record(self, running: Running, outcome: Outcome) -> None:
        """Records and learns what is new of an outcome: all of it, or branches."""
        own, new = running.recorded is None, running.unrecorded(outcome)
        if not own and not new.branches:
            return
        first = len(outcome.branches) - len(new.branches)
        number = running.dispatch.number
        try:
            try:
                branches = self._writer.finish(number, new)
            except NotFinite as error:
                new = running.not_finite(error, new)
                branches = self._writer.finish(number, new)
            running.recorded = replace(new, branches=outcome.branches)
            if own:
                self._learn(running, new)
            self._learn_branches(running, new, first, branches)
        except StoreError as error:
            running.recorded = outcome  # it is in the journal, or another's
            self._give_up(error)

    def _learn(self, running: Running, outcome: Outcome) -> None:
        dispatch = running.dispatch
        self._tell(dispatch, dispatch.recipe, outcome, proposal=running.candidate.proposal)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        if outcome.state is TrialState.COMPLETE:
            self._proposing.hope()  # what it taught may lead to others
        self._callback.on_trial_end(dispatch.number, dispatch.recipe.to_params(), outcome)

    def _learn_branches(
        self, running: Running, outcome: Outcome, first: int, numbers: Sequence[int]
    ) -> None:
        """Learns of the outcome's branches, of which the first is the `first` of the trial's."""
        dispatch = running.dispatch
        recipes = dispatch.branches[first : first + len(numbers)]
        for recipe, branch, number in zip(recipes, outcome.branches, numbers, strict=True):
            self._tell(dispatch, recipe, branch.outcome, branch=True)
            self._callback.on_trial_end(number, branch.params, branch.outcome)

    def _tell(
        self,
        dispatch: Dispatch,
        recipe: Recipe,
        outcome: Outcome,
        *,
        branch: bool = False,
        proposal: Proposal | None = None,
    ) -> None:
        """Tells all that learn how the trial ended, or a branch of it."""
        self._learners.tell(
            recipe,
            outcome,
            trial=dispatch.number,
            seed=dispatch.seed,
            branch=branch,
            proposal=proposal,
        )
        self._learners.keep_frontier()

    def _give_up(self, fault: StoreError | DiskError) -> None:
        """Ends the search for want of store or disk. Trials that run may end."""
        if isinstance(fault, StudyHeld):
            self.lose(fault)
            return
        if self.fault is None:
            self._callback.log(str(fault))
        self.fault = self.fault or fault
        self.draining = True

    def _branches(self, recipe: Recipe) -> Sequence[Recipe]:
        """What else to make of the student, of which nothing says that it breaks the budget."""
        if not self._study.search.branches:
            return []
        found = branches_of(
            recipe,
            self._space,
            prunings=self._study.search.branches,
            may_fit=lambda branch: self._gate.may_fit(branch) is not False,
            promising=self._sampler.promising,
        )
        return [branch for branch in found if self._sampler.expect(branch)]
