"""The tuner of finalists: it runs a fixed list of trials, and stops none early."""

import math
from collections import deque
from collections.abc import Iterable, Sequence

from search.errors import DiskError, StoreError
from search.pipeline.refit import without_validation
from search.progress import Callback
from search.records import Outcome, TrialKind
from search.search_clock import SearchClock
from search.storage.retrying_writer import RetryingWriter
from search.tuner.finalists import Finalist
from search.tuner.trial import Trial
from search.tuner.trial_runner import TrialRunner


class FinalTuner(TrialRunner):
    """Tuner that runs finalists to their end.

    No sampler proposes them or learns from them. A finalist that fails ends alone. One that an
    earlier run began runs under its number, and its training continues from the last checkpoint.

    Args:
        finalists: the trials to run, in their order.
        writer: writes all records to the store.
        callback: receives the events of the run.
        retries: how often a finalist runs again after its process died.
        clock: the clock of the time in which all runs of the study trained finalists.
        max_time: no finalist starts after this time, in seconds; None: no limit.
    """

    def __init__(
        self,
        finalists: Iterable[Finalist],
        *,
        writer: RetryingWriter,
        callback: Callback,
        retries: int,
        clock: SearchClock,
        max_time: float | None = None,
    ) -> None:
        super().__init__(writer=writer, callback=callback, retries=retries)
        self._left = deque(finalists)
        self._begun: dict[int, Finalist] = {}
        self._clock = clock
        self._max_time = max_time or math.inf

    @property
    def is_over(self) -> bool:
        """Whether no further finalist will start."""
        return self._is_ending or not self.missing

    @property
    def missing(self) -> int:
        """The number of finalists that have not ended."""
        return len(self._left) + len(self._trials)

    @property
    def left_by_time(self) -> int:
        """The number of finalists that have not ended after the time limit; 0 before it."""
        return self.missing if self._is_late else 0

    @property
    def _is_late(self) -> bool:
        return self._clock.elapsed_s > self._max_time

    @property
    def _is_ending(self) -> bool:
        return self.draining or self._is_late

    def next(self) -> Trial | None:
        """Start and return the next finalist; None if none is left, or no further one may start.

        The first call starts the clock.
        """
        self._clock.start()
        if self._is_ending:
            return None
        try:
            if trial := self._restarted() or self._begin_next():
                return self._started(trial)
        except (StoreError, DiskError) as error:
            self._end_with(error)
        return None

    def look_ahead(self) -> None:
        """Do nothing: the list of finalists is known."""

    def _begin_next(self) -> Trial | None:
        """Record the next finalist as running, and return its trial; None if none is left."""
        if not self._left:
            return None
        finalist = self._left[0]
        params, number = finalist.recipe.to_params(), finalist.number
        if number is None:
            number = self._writer.start(params, finalist.seed, purpose=finalist.purpose)
        else:
            self._writer.restart(number, params)
        self._left.popleft()
        self._begun[number] = finalist
        return Trial(number=number, recipe=finalist.recipe, seed=finalist.seed)

    def _started(self, trial: Trial) -> Trial:
        finalist = self._begun[trial.number]
        # Its shapes are those of the trial that it repeats, whose student was within the budget.
        trial = trial.started(
            branches=(), doubtful=frozenset(), cost=finalist.cost, is_known_to_fit=True
        )
        self._trials[trial.number] = trial
        self._callback.on_final_start(trial.number, trial.recipe.to_params(), finalist.place)
        return trial

    def _write(self, trial: Trial, outcome: Outcome) -> tuple[Outcome, Sequence[int]]:
        # The epochs of a refit whose process died have scores too.
        if self._begun[trial.number].purpose.kind is TrialKind.REFIT:
            outcome = without_validation(outcome)
        return super()._write(trial, outcome)

    def _learn_trial(self, trial: Trial, outcome: Outcome) -> None:
        self._callback.on_trial_end(trial.number, trial.recipe.to_params(), outcome)

    def _learn_branches(self, trial: Trial, outcome: Outcome, numbers: Sequence[int]) -> None:
        """Do nothing: a finalist has no branches."""

    def _release_branches(self, trial: Trial) -> None:
        """Do nothing: a finalist has no branches."""
