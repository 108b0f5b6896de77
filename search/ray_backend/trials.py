"""The run of a study's trials: set up the tuner, and let Ray call it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

# Ray reads these when it is imported or started. No usage statistics, and no result files that
# nobody reads. Ctrl-C is handled here (the first one drains). A trial is no background work: at
# Ray's niceness of 15 it would starve beside two busy threads.
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_AIR_NEW_OUTPUT="0",
    RAY_worker_niceness="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_GLOBAL_CHECKPOINT_S="1000000",
)

from search.config.study import Study
from search.cost_model.gate import open_admission
from search.cost_model.survey import Survey
from search.errors import DiskError, Interrupted, StoreError
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.ray_backend.cluster import check_target, ray_of
from search.ray_backend.searcher import run_on_ray
from search.ray_backend.signals import ending_like_ctrl_c
from search.storage.leases import Heartbeat
from search.storage.storage import Store
from search.tuner.setup import open_tuner
from search.tuner.tuner import Tuner


def run_trials(
    study: Study, spec: StudyContextSpec, store: Store, callback: Callback, heartbeat: Heartbeat
) -> None:
    """Try recipes until there are enough, the time is up, or the space is exhausted.

    The tuner first learns from the results of earlier runs in the store, and runs interrupted
    trials again.

    Raises:
        Interrupted: a person pressed Ctrl-C, or asked for the end from elsewhere. Finished trials
            are in the store; running ones are recorded as interrupted.
        StoreError: the store can't be written; results are in the journal.
        DiskError: no room is left for what trials write.
        RayUnavailable: Ray can't be started or reached, or is lost.
    """
    feasibility = open_admission(study, spec.requirements, store)
    tuner = open_tuner(
        study,
        spec,
        store=store,
        callback=callback,
        feasibility=feasibility,
        elapsed_s=heartbeat.elapsed_s,
    )
    survey = Survey(study.search_space(), feasibility, seed=study.seed)
    heartbeat.begin_search(tuner.interrupt, tuner.on_lease_lost)
    try:
        if not tuner.is_over:
            callback.log("starting the workers; measuring meanwhile what students cost")
            with ending_like_ctrl_c(), ray_of(study.run, log=callback.log), draining(tuner):
                run_on_ray(tuner, study.run, spec, meanwhile=partial(_go_on_with, survey))
    finally:
        heartbeat.end_search()
    _check_whole(tuner, study, callback)


def _go_on_with(survey: Survey) -> None:
    with suppress(StoreError, DiskError):  # the next write reports it
        survey.go_on()


def _check_whole(tuner: Tuner, study: Study, callback: Callback) -> None:
    """Raise the error that ended the search early; log if the time was too short."""
    if tuner.fault:
        raise tuner.fault
    if tuner.interrupted:
        raise Interrupted("stopped; what had finished is in the store")
    if left := tuner.left_by_time:
        callback.log(
            f"search.max_time is used up, and {left} of {study.search.trials} trials were not run: "
            f"give it more by `retort resume {study.study} search.max_time=…`"
        )


@contextmanager
def reaching_target(study: Study) -> Iterator[None]:
    """Connect to the cluster while the target's machine is needed."""
    if study.budget.target.resource is None:
        yield
        return
    advice = "Once one is there again, give the same command"
    with ending_like_ctrl_c(), ray_of(study.run, advice=advice):
        check_target(study.budget.target)
        yield


@contextmanager
def draining(tuner: Tuner) -> Iterator[None]:
    """Let running trials end at the first Ctrl-C; stop at once at a second, SIGTERM or SIGHUP."""
    pressed = 0

    def interrupt(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        # In a thread: this one may be in the middle of a print, which is not reentrant.
        why = "stopping: running trials end first; press Ctrl-C again to stop at once"
        threading.Thread(target=tuner.interrupt, args=(why,)).start()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with ending_like_ctrl_c():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
