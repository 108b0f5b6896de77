"""Runs a study's trials: sets up the tuner, and lets Ray call it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from search.ray_backend import environment  # noqa: F401  before modules that import Ray

# isort: split

from search.config.study import Study
from search.cost_model.gate import open_admission
from search.cost_model.survey import Survey
from search.errors import DiskError, Interrupted, StoreError
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.ray_backend.cluster import check_target, ray_of
from search.ray_backend.searcher import run_on_ray
from search.ray_backend.signals import ending_like_ctrl_c
from search.search_clock import SearchClock
from search.storage.leases import Heartbeat
from search.storage.storage import Store
from search.tuner.finals import FinalTuner
from search.tuner.setup import open_tuner
from search.tuner.trial_runner import TrialRunner


@contextmanager
def keeping_ray() -> Iterator[ExitStack]:
    """Yield a stack that keeps Ray running from the first trial until the end of the block."""
    with ending_like_ctrl_c(), ExitStack() as ray:
        yield ray


def run_trials(
    study: Study,
    spec: StudyContextSpec,
    store: Store,
    callback: Callback,
    heartbeat: Heartbeat,
    ray: ExitStack | None = None,
) -> None:
    """Run trials until their number is reached, the time is used up, or the space is exhausted.

    The tuner first learns from the trials of earlier runs in the store. It runs interrupted trials
    again.

    Args:
        study: the study.
        spec: the context of its trials.
        store: the store that contains it.
        callback: receives the events of the search.
        heartbeat: the heartbeat of this process, with the clock of the search time.
        ray: keeps Ray running after the search; None ends it with the search.

    Raises:
        Interrupted: the user pressed Ctrl-C or `retort stop` ended the search. Finished trials are
            in the store; running ones are recorded as interrupted.
        StoreError: the store can't be written; the results are in the journal.
        DiskError: a disk is full.
        RayUnavailable: Ray can't be started or reached, or its connection is lost.
    """
    feasibility = open_admission(study, spec.requirements, store)
    tuner = open_tuner(
        study,
        spec,
        store=store,
        callback=callback,
        feasibility=feasibility,
        clock=heartbeat.clock,
    )
    survey = Survey(study.search_space(), feasibility, seed=study.seed)
    with _kept(ray) as ray, _clocked(tuner, heartbeat, heartbeat.clock):
        if not tuner.is_over:
            callback.log("starting the workers, and measuring costs of students meanwhile")
            _run(tuner, study, spec, callback, ray, meanwhile=partial(_measure_next, survey))
    _check_ending(tuner)
    if left := tuner.left_by_time:
        callback.log(
            f"search.max_time is used up, and {left} of {study.search.trials} trials were not run: "
            f"continue with `retort resume {study.study} search.max_time=…`"
        )


def run_finals(
    tuner: FinalTuner,
    study: Study,
    spec: StudyContextSpec,
    callback: Callback,
    heartbeat: Heartbeat,
    ray: ExitStack,
) -> None:
    """Run the tuner's finalists to their end, or until `final.max_time` is used up.

    Raises:
        Interrupted, StoreError, DiskError, RayUnavailable: for the same reasons as `run_trials`.
    """
    with _clocked(tuner, heartbeat, heartbeat.finals_clock):
        if not tuner.is_over:
            _run(tuner, study, spec, callback, ray, meanwhile=lambda: None)
    _check_ending(tuner)
    if left := tuner.left_by_time:
        callback.log(
            f"final.max_time is used up, and {left} of the trainings after the search were not "
            f"run: continue with `retort resume {study.study} final.max_time=…`"
        )


def _run(
    tuner: TrialRunner,
    study: Study,
    spec: StudyContextSpec,
    callback: Callback,
    ray: ExitStack,
    *,
    meanwhile: Callable[[], None],
) -> None:
    """Start Ray, unless the stack keeps it already, and let it run the tuner's trials."""
    ray.enter_context(ray_of(study.run, log=callback.log))
    with draining(tuner):
        run_on_ray(tuner, study.run, spec, meanwhile=meanwhile)


@contextmanager
def _kept(ray: ExitStack | None) -> Iterator[ExitStack]:
    if ray is not None:
        yield ray
        return
    with keeping_ray() as own:
        yield own


@contextmanager
def _clocked(tuner: TrialRunner, heartbeat: Heartbeat, clock: SearchClock) -> Iterator[None]:
    """Let `retort stop` and a lost lease end the tuner's run; stop the clock at the end."""
    with heartbeat.listening(tuner.interrupt, tuner.on_lease_lost):
        try:
            yield
        finally:
            clock.stop()


def _measure_next(survey: Survey) -> None:
    with suppress(StoreError, DiskError):  # the next write reports the error
        survey.measure_next()


def _check_ending(tuner: TrialRunner) -> None:
    """Raise the error that ended the run early."""
    if tuner.fault:
        raise tuner.fault
    if tuner.interrupted:
        raise Interrupted("the search was stopped; finished trials are in the store")


@contextmanager
def reaching_target(study: Study) -> Iterator[None]:
    """Connect to the Ray cluster in the block, if a node of it is the target."""
    if study.budget.target.resource is None:
        yield
        return
    advice = "When a Ray cluster is running again, repeat the same command"
    with ending_like_ctrl_c(), ray_of(study.run, advice=advice):
        check_target(study.budget.target)
        yield


@contextmanager
def draining(tuner: TrialRunner) -> Iterator[None]:
    """Let running trials end at the first Ctrl-C; stop at once at a second, SIGTERM or SIGHUP."""
    pressed = 0

    def interrupt(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        # In another thread: this signal may interrupt a print, which is not reentrant.
        why = "stopping: running trials end first; press Ctrl-C again to stop at once"
        threading.Thread(target=tuner.interrupt, args=(why,)).start()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with ending_like_ctrl_c():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
