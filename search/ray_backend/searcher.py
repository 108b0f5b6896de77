"""Connects Ray Tune to the tuner, by a searcher, a stopper and a scheduler."""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError, RayTaskError
from ray.tune.execution import class_cache
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from search.config.study import RunSettings
from search.errors import shortened
from search.files.disk import scratch
from search.objectives.units import format_duration
from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED, TIMED_OUT, failure_of
from search.pipeline.study_context import StudyContextSpec
from search.ray_backend.cluster import trial_cores, trials_at_a_time
from search.ray_backend.watchdog import note_of, take_note
from search.ray_backend.worker import EPOCH, OUTCOME, TRIAL, Worker
from search.records import FailureRecord
from search.storage.artifact_owner import Claim
from search.tuner.trial_runner import TrialRunner

# How long the first started process waits for the others to start, in seconds.
_LATE_S = 10.0
# Lines that Ray adds to messages for debugging Ray itself.
_RAY_DETAILS = re.compile(r"\s*\n\s*(?:class_name|actor_id|pid|namespace|ip|name):[^\n]*")


def run_on_ray(
    tuner: TrialRunner, run: RunSettings, spec: StudyContextSpec, *, meanwhile: Callable[[], None]
) -> None:
    """Let Ray run the tuner's trials until the search is over.

    Args:
        tuner: chooses the trials.
        run: the number of parallel trials, and the resources of each.
        spec: the context of the trials.
        meanwhile: is called repeatedly while the workers start, and until a trial first reports.
    """
    parallel = trials_at_a_time(run)
    searcher = RaySearcher(tuner, parallel, meanwhile)
    trainable = tune.with_resources(
        tune.with_parameters(Worker, spec=spec, threads=run.cpus, limit_s=run.trial_timeout),
        {"cpu": trial_cores(run), "gpu": run.gpus},
    )
    with scratch() as folder, inherited_environment():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_TrialErrorScheduler(searcher, spec.claim, run.trial_timeout),
                num_samples=-1,
                # Ray asks for one trial more than it runs. `suggest` uses this call to choose the
                # next recipe in advance, and returns no trial.
                max_concurrent_trials=parallel + 1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(folder),
                verbose=0,
                stop=_Stopper(searcher),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


class RaySearcher(Searcher):
    """Searcher that passes the tuner's trials to Ray, and Ray's reports to the tuner.

    Ray identifies a trial by Ray's own id, the tuner by its number in the store.

    Args:
        tuner: chooses the trials.
        parallel: the number of parallel trials.
        meanwhile: is called repeatedly while the workers start, and until a trial first reports.
    """

    def __init__(self, tuner: TrialRunner, parallel: int, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._tuner = tuner
        self._parallel = parallel
        self._meanwhile = meanwhile
        self._to_start = min(parallel, tuner.missing)
        # Placeholder trials of Ray that only start the worker processes, and whether each process
        # has started. Recipes are chosen after the start, when the survey knows more costs. The
        # placeholders end together: otherwise Ray would reuse the first free process, and end one
        # that is still starting.
        self._starting: dict[str, bool] = {}
        self._patience = math.inf
        self._has_reported = False
        self._numbers: dict[str, int] = {}
        self._causes: dict[str, FailureRecord] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._to_start and not self._tuner.is_over:
            self._to_start -= 1
            self._starting[trial_id] = False
            return {TRIAL: None}
        trial = None
        if len(self._starting) + len(self._numbers) < self._parallel:
            trial = self._tuner.next()
        else:
            self._use_the_wait()
        if trial is None:
            return Searcher.FINISHED if self._tuner.is_over else None  # type: ignore[return-value]
        self._numbers[trial_id] = trial.number
        return {TRIAL: trial}

    def _use_the_wait(self) -> None:
        if not self._has_reported and not any(self._starting.values()):
            self._meanwhile()
        self._tuner.look_ahead()

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002  Ray's signature
    ) -> None:
        if trial_id in self._starting:
            del self._starting[trial_id]
            return
        outcome, cause = (result or {}).get(OUTCOME), self._causes.pop(trial_id, None)
        self._tuner.on_trial_end(self._numbers.pop(trial_id), outcome, cause)

    def number(self, trial_id: str) -> int | None:
        """Return the tuner's number of a running trial; None for a placeholder trial."""
        return self._numbers.get(trial_id)

    def note_cause(self, trial_id: str, cause: FailureRecord) -> None:
        """Store why the trial's process ended, until Ray reports the trial as complete."""
        self._causes[trial_id] = cause

    def should_stop(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Report a step of the trial to the tuner; return whether the trial must stop."""
        if trial_id in self._starting:
            self._starting[trial_id] = True
            self._patience = min(self._patience, time.monotonic() + _LATE_S)
            return all(self._starting.values()) or time.monotonic() > self._patience
        self._has_reported = True
        if result["done"]:
            return False
        number = self._numbers[trial_id]
        if EPOCH in result:
            return not self._tuner.on_trial_report(number, result[EPOCH])
        return not self._tuner.on_trial_result(number, result[OUTCOME])

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: a search resumes from the store, never from Ray's files."""

    def __getstate__(self) -> dict[str, object]:
        """Return no state: Ray pickles its searcher, but nothing is restored from it."""
        return {}


class _Stopper(tune.Stopper):
    """Stopper that asks the searcher at each step. Ray pickles it, but nothing is restored."""

    def __init__(self, searcher: RaySearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._searcher.should_stop(trial_id, result)

    def stop_all(self) -> bool:
        return False


class _TrialErrorScheduler(FIFOScheduler):
    """Scheduler that reports to the searcher why a trial's process ended, as Ray does not."""

    def __init__(self, searcher: RaySearcher, claim: Claim, limit_s: float | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher
        self._claim = claim
        self._limit_s = limit_s

    def on_trial_error(self, tune_controller: object, trial: Any) -> None:
        number = self._searcher.number(trial.trial_id)
        if number is None:
            return
        note = note_of(self._claim, number)
        traceback = take_note(note)
        cause = _timed_out(traceback, self._limit_s or 0.0) if traceback else _cause(trial)
        self._searcher.note_cause(trial.trial_id, cause)

    def __getstate__(self) -> dict[str, object]:
        """Return no state, as the searcher does."""
        return {}


def _cause(trial: Any) -> FailureRecord:
    """Return Ray's reason for the end of the trial's process."""
    try:
        error = trial.get_pickled_error()
    except Exception:  # noqa: BLE001  Ray's own files may be damaged
        error = None
    if error is None:
        return FailureRecord(
            kind=PROCESS_DIED, message="the trial's process ended; Ray gives no reason"
        )
    if isinstance(error, RayTaskError):
        return failure_of(error.cause if isinstance(error.cause, Exception) else error)
    text = str(error)
    message = shortened(RuntimeError(_RAY_DETAILS.sub(" ", text)))
    if isinstance(error, OutOfMemoryError) or "OutOfMemoryError" in text:
        return FailureRecord(kind=OUT_OF_MEMORY, message=message, traceback=text)
    return FailureRecord(kind=PROCESS_DIED, message=message, traceback=text)


def _timed_out(traceback: str, limit_s: float) -> FailureRecord:
    return FailureRecord(
        kind=TIMED_OUT,
        message=f"the trial must end within run.trial_timeout, but computed for more than "
        f"{format_duration(limit_s)} and was ended: raise run.trial_timeout, or read in the "
        "traceback where it hung",
        traceback=traceback,
    )


@contextmanager
def inherited_environment() -> Iterator[None]:
    """Let trials run in workers that have started already.

    Tune gives its actors environment variables, for PyTorch Lightning and for other machines. Ray
    starts new workers for actors with variables of their own. Workers on this machine inherit the
    environment of this process anyway.
    """
    before = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = before
