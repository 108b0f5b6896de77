"""The Ray cluster of a run: started by the run itself, or an existing one."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import ray
from ray.exceptions import RayError
from ray.tune import TuneError

from search.config.resources import parallel_trials
from search.config.study import RunSettings
from search.config.target_settings import TargetSettings
from search.errors import Interrupted, RayUnavailable, RetortError, shortened
from search.ray_backend.connection import connect
from search.ray_backend.lifeline import Lifeline, check_listening
from search.ray_backend.local_cluster import EARLY, LocalCluster
from search.storage.leases import Log

_ANSWER_S = 10.0
# The lifeline of the outer `ray_of` block; inner blocks use the same connection.
_LIFELINE: ContextVar[Lifeline | None] = ContextVar("_LIFELINE", default=None)


@contextmanager
def ray_of(run: RunSettings, *, log: Log = lambda line: None, advice: str = "") -> Iterator[None]:
    """Start a Ray cluster for the duration of the block, or connect to an existing one.

    Inside another such block, the connection of the outer block is used.

    Args:
        run: the cluster's address, and the resources of a trial.
        log: receives a line if a start fails and is retried.
        advice: a sentence for the error message if the connection is lost in the block.

    Raises:
        RayUnavailable: Ray can't be started or reached, or its connection was lost in the block.
    """
    if lifeline := _LIFELINE.get():
        with _advising(lifeline, advice):
            yield
        return
    with _own_cluster(run, log) if run.ray == "local" else _existing_cluster(run) as lifeline:
        # Ray Tune would print whole tracebacks of trials; the store records their relevant part.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        token = _LIFELINE.set(lifeline)
        try:
            with _advising(lifeline, advice):
                yield
        finally:
            _LIFELINE.reset(token)


@contextmanager
def _advising(lifeline: Lifeline, advice: str) -> Iterator[None]:
    """Replace an error in the block by RayUnavailable with this advice, if Ray is lost."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted, RayError, TuneError) as error:
        if lifeline.loss is None:
            raise
        raise RayUnavailable(
            f"the connection to the trials' Ray cluster is lost: {lifeline.loss} (killed, stopped, "
            f"or out of memory){advice and '. '}{advice}"
        ) from error


@contextmanager
def _own_cluster(run: RunSettings, log: Log) -> Iterator[Lifeline]:
    cluster = EARLY.get() or LocalCluster(run)
    token = EARLY.set(None)
    try:
        with cluster.lifeline(log) as lifeline:
            yield lifeline
    finally:
        EARLY.reset(token)
        cluster.end()


@contextmanager
def _existing_cluster(run: RunSettings) -> Iterator[Lifeline]:
    try:
        _check_listening(run.ray)
        lifeline = connect(address=run.ray)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise RayUnavailable(
            f"run.ray must be the address of a running Ray cluster, but {run.ray} does not answer: "
            f"{shortened(error)}. Start a cluster with `ray start --head`, set RAY_AUTH_TOKEN if "
            "the cluster requires a token, or set run.ray: local"
        ) from error
    try:
        with lifeline:
            yield lifeline
    finally:
        ray.shutdown()


def _check_listening(address: str) -> None:
    """Raise OSError if no process listens at the address: Ray itself would retry for minutes."""
    address = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if separator and port.isdigit():
        check_listening(host.strip("[]"), int(port), timeout_s=_ANSWER_S)


def trials_at_a_time(run: RunSettings) -> int:
    """Return the number of parallel trials: as configured, else as many as fit into the cluster."""
    if run.parallel or run.ray == "local":
        return parallel_trials(run)
    resources = _resources()
    by_cores = int(resources.get("CPU", 0.0) // run.cpus)
    by_gpus = int(resources.get("GPU", 0.0) / run.gpus) if run.gpus else by_cores
    if not (parallel := min(by_cores, by_gpus)):
        raise RetortError(
            f"the Ray cluster at {run.ray} must have {run.cpus} cores and {run.gpus:g} GPUs for "
            f"one trial, but has {resources.get('CPU', 0):g} cores and "
            f"{resources.get('GPU', 0):g} GPUs: add machines, or lower run.cpus or run.gpus"
        )
    return parallel


def check_target(target: TargetSettings) -> None:
    """Check that the cluster has a node for the target.

    Raises:
        RetortError: no node has the target's resource.
    """
    if target.resource is not None and not _resources().get(target.resource):
        raise RetortError(
            f"a node of the Ray cluster must have the resource {target.resource} to measure "
            "latency, but no node has it: start one with `ray start --address=… --num-cpus=0 "
            f"--resources='{{\"{target.resource}\": 1}}'`"
        )


def trial_cores(run: RunSettings) -> int:
    """Return the cores of Ray that a trial takes: one of a local Ray, which has one for each."""
    return 1 if run.ray == "local" else run.cpus


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found
