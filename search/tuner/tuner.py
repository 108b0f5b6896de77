"""The tuner, which controls a search: it proposes, stops and records trials.

It is plain Python. `search.ray_backend` lets Ray call it, in one process, one call at a time.
"""

import math
from collections.abc import Sequence

from search.config.study import Study
from search.errors import DiskError, StoreError
from search.progress import Callback
from search.records import EpochRecord, Outcome, TrialState
from search.search_clock import SearchClock
from search.storage.retrying_writer import RetryingWriter
from search.tuner.branching import expected_branches
from search.tuner.learners import EarlierRuns, Learners
from search.tuner.proposer import Proposer
from search.tuner.trial import Trial, TrialPhase
from search.tuner.trial_runner import TrialRunner


class Tuner(TrialRunner):
    """Tuner of a study: it proposes trials and records their outcomes.

    While it runs, no other object writes to the study. The tuner records a trial as running before
    a worker receives it, and as ended before the sampler learns from it. Interrupted trials run
    first.

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
        super().__init__(
            writer=writer, callback=callback, retries=study.run.retries, waiting=past.interrupted
        )
        self._study = study
        self._learners = learners
        self._sampler = learners.sampler
        self._gate = learners.gate
        self._trained = past.trained
        self._proposer = Proposer(self._sampler, callback, is_ending=lambda: self._is_ending)
        self._clock = clock or SearchClock()

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
    def _wants_more(self) -> bool:
        running = sum(trial.phase is TrialPhase.RUNNING for trial in self._trials.values())
        return not self.is_over and running < self.missing

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

    def _reason_to_stop(self, trial: Trial, point: EpochRecord) -> str | None:
        return self._learners.reason_to_stop(trial, point)

    def _may_retry(self, trial: Trial, again: Trial, outcome: Outcome) -> bool:
        if again.recipe != trial.recipe:
            if not self._sampler.expect(again.recipe):
                return False  # another trial has the recipe with the smaller batch
            self._sampler.tell(trial.recipe, outcome)
            self._release_branches(trial)
        return True

    def _release_branches(self, trial: Trial) -> None:
        """Allow the sampler to propose the recipes of branches that were not made."""
        for branch in trial.branches_left:
            self._sampler.release(branch)
            self._proposer.look_again()

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
