"""The worker: a process in which trials run."""

import time
from contextlib import nullcontext
from typing import Any

import torch
from ray import tune

from search.pipeline.failures import failed_outcome
from search.pipeline.study_context import StudyContextSpec, open_context
from search.pipeline.trial import Progress, run_trial
from search.ray_backend.watchdog import Watchdog, note_of
from search.records import EpochRecord
from search.tuner.trial import Trial

TRIAL = "trial"
OUTCOME = "outcome"
# The pause between two reports of a started process without a trial, in seconds.
_PAUSE_S = 0.02
EPOCH = "epoch"


class Worker(tune.Trainable):
    """Process that runs one trial after another, and does not restart between them.

    A step is an epoch, or the work between two epochs.
    """

    _progress: Progress | None = None
    _watchdog: Watchdog | None = None

    def setup(  # type: ignore[override]  # Ray passes the arguments of tune.with_parameters
        self, config: dict[str, Any], *, spec: StudyContextSpec, threads: int, limit_s: float | None
    ) -> None:
        torch.set_num_threads(threads)
        self._spec = spec
        self._limit_s = limit_s
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start the next trial in this process."""
        self.cleanup()
        trial: Trial | None = new_config[TRIAL]
        if trial is None:
            return True
        self._progress = _run(trial, self._spec)
        if self._limit_s is not None:
            note = note_of(self._spec.claim, trial.number)
            self._watchdog = Watchdog(note, limit_s=self._limit_s)
        return True

    def step(self) -> dict[str, Any]:
        if self._progress is None:
            time.sleep(_PAUSE_S)
            return {}  # a placeholder trial, which only starts the process
        with self._watchdog.watching() if self._watchdog else nullcontext():
            try:
                item = next(self._progress)
            except StopIteration as end:
                return {OUTCOME: end.value, "done": True}
        return {EPOCH if isinstance(item, EpochRecord) else OUTCOME: item}

    def cleanup(self) -> None:
        if self._progress:
            self._progress.close()
        if self._watchdog:
            self._watchdog.close()
        self._progress = self._watchdog = None


def _run(trial: Trial, spec: StudyContextSpec) -> Progress:
    """Run the trial.

    The first step opens the data, so that a failure or hang there counts as the trial's.
    """
    try:
        context = open_context(spec)
    except Exception as error:  # noqa: BLE001  the trial's boundary, as in run_trial
        return failed_outcome(error)
    return (
        yield from run_trial(
            trial.recipe,
            context,
            number=trial.number,
            seed=trial.seed,
            predicted_cost=trial.fitting_cost,
            branches=trial.branches or (),
            doubtful=trial.doubtful,
        )
    )
