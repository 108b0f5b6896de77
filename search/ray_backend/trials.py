"""A study's trials, from the first to the last: the driver is set up, and Ray calls it."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Ray reads these when it is imported or started. No usage statistics, no result files that nobody
# reads, Ctrl-C is ours (the first drains), and a trial is no background work: at Ray's niceness of
# 15 it would starve beside two busy threads.
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
from search.cost_model.feasibility import Feasibility
from search.cost_model.gate import CostGate, open_admission
from search.cost_model.survey import Survey
from search.errors import DiskError, Interrupted, StoreError
from search.pipeline.setup import StudyContextSpec
from search.progress import Callback
from search.ray_backend.cluster import check_target, ray_of
from search.ray_backend.searcher import drive
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler
from search.signals import ending_like_ctrl_c
from search.storage.leases import Heartbeat
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.early_stopping import EarlyStopping
from search.tuner.learners import Learners
from search.tuner.pinning import FrontierPins
from search.tuner.replay import recall
from search.tuner.tuner import Tuner
from search.tuner.warm_start import teach


def run_trials(
    study: Study, spec: StudyContextSpec, store: Store, callback: Callback, heartbeat: Heartbeat
) -> None:
    """Tries recipes until there are enough, the time is up, or the space is exhausted.

    What earlier runs of the study left in the store is learned first, and what was interrupted is
    run again.

    Raises:
        Interrupted: the person pressed Ctrl-C, or asked for the end from elsewhere. What had
            finished is in the store; what was running is recorded as interrupted.
        StoreError: the store can't be written; results are in the journal.
        DiskError: no room is left for what trials write.
        RayUnavailable: Ray can't be started or reached, or is lost.
    """
    feasibility = open_admission(study, spec.requirements, store)
    survey = Survey(study.search_space(), feasibility, seed=study.seed)

    def survey_on() -> None:
        with suppress(StoreError, DiskError):  # the next that is written tells of it
            survey.go_on()

    driver = _driver(study, spec, store, callback, feasibility, elapsed_s=heartbeat.elapsed_s)
    heartbeat.begin_search(driver.interrupt, driver.lose)
    try:
        if not driver.is_over:
            callback.log("starting the workers; measuring meanwhile what students cost")
            with (
                ending_like_ctrl_c(),
                ray_of(study.run, log=callback.log),
                draining(driver),
            ):
                drive(driver, study.run, spec, meanwhile=survey_on)
    finally:
        heartbeat.end_search()
    if driver.fault:
        raise driver.fault
    if driver.interrupted:
        raise Interrupted("stopped; what had finished is in the store")
    if left := driver.left_by_time:
        callback.log(
            f"search.max_time is used up, and {left} of {study.search.trials} trials were not run: "
            f"give it more by `retort resume {study.study} search.max_time=…`"
        )


@contextmanager
def reaching_target(study: Study) -> Iterator[None]:
    """Connects to the cluster for as long as the machine that stands for the target is needed."""
    if study.budget.target.resource is None:
        yield
        return
    advice = "Once one is there again, give the same command"
    with ending_like_ctrl_c(), ray_of(study.run, advice=advice):
        check_target(study.budget.target)
        yield


def _driver(
    study: Study,
    spec: StudyContextSpec,
    store: Store,
    callback: Callback,
    feasibility: Feasibility,
    *,
    elapsed_s: float,
) -> Tuner:
    """A driver that knows what the store knows."""
    trials = store.trials(study.study, whole=True)
    writer = RetryingWriter(store, study.study, spec.claim)
    gate = CostGate(feasibility, writer=writer, seed=study.seed, callback=callback)
    sampler = Sampler(
        study.search_space(),
        name=study.search.sampler,
        seed=study.seed,
        goal=study.goal,
        earlier=len(trials),
        costs=CostSource(feasibility.predict, feasibility.measure),
        budget=study.budget,
        gate=gate,
    )
    early_stopping = EarlyStopping(study.goal) if study.search.stopping else None
    # Studies of one name, in two stores, may share the stages; they don't share their artifacts.
    where = hashlib.sha256(str(spec.artifacts).encode()).hexdigest()[:12]
    owner = f"{study.study}-{where}"
    pins = FrontierPins(owner, study.goal, spec.lineage, spec.stage_cache())
    if taught := teach(study, sampler, store):
        known = ", ".join(study.search.warm_start)
        callback.log(f"{taught} trials of {known} are known to the sampler")
    learners = Learners(sampler, gate, early_stopping, pins)
    return Tuner(
        study,
        learners=learners,
        writer=writer,
        callback=callback,
        past=recall(trials, learners),
        elapsed_s=elapsed_s,
    )


@contextmanager
def draining(driver: Tuner) -> Iterator[None]:
    """Ctrl-C once lets running trials end, twice stops at once, as SIGTERM and SIGHUP do."""
    pressed = 0

    def interrupt(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        # In a thread: this one may be in the midst of a print, which can't be entered twice.
        why = "stopping: running trials end first; press Ctrl-C again to stop at once"
        threading.Thread(target=driver.interrupt, args=(why,)).start()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with ending_like_ctrl_c():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
