"""The Ray cluster of a run: started by the run itself, or an existing one."""

import logging
import math
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import ray
from ray._private import worker
from ray.exceptions import RayError
from ray.job_config import JobConfig

from search.config.resources import parallel_trials
from search.config.study import RunSettings
from search.config.target_settings import TargetSettings
from search.errors import RayUnavailable, RetortError, shortened
from search.ray_backend.lifeline import Lifeline, check_listening
from search.ray_backend.local_ray import own_folder, started
from search.ray_backend.signals import blocked
from search.storage.leases import Log

_ANSWER_S = 10.0
# The lifeline of the outer `ray_of` block; inner blocks use the same connection.
_LIFELINE: ContextVar[Lifeline | None] = ContextVar("_LIFELINE", default=None)


class _OwnModules(JobConfig):
    """Job configuration with which workers import only installed modules.

    Ray would add the driver's current folder to the import path. Workers would then import any
    `search` or `timm` from there.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, folders: list[str]) -> None:
        """Ignore the folders; the list stays empty."""


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
        with lifeline.with_advice(advice):
            yield
        return
    with _own_cluster(run, log) if run.ray == "local" else _existing_cluster(run) as lifeline:
        # Ray Tune would print whole tracebacks of trials; the store records their relevant part.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        token = _LIFELINE.set(lifeline)
        try:
            with lifeline.with_advice(advice):
                yield
        finally:
            _LIFELINE.reset(token)


@contextmanager
def _own_cluster(run: RunSettings, log: Log) -> Iterator[Lifeline]:
    parallel = parallel_trials(run)
    with own_folder() as folder, _silent_helpers():
        initialize = partial(
            _connect,
            address="local",
            include_dashboard=False,
            num_cpus=parallel * run.cpus,
            num_gpus=math.ceil(parallel * run.gpus) or None,
            _temp_dir=str(folder),
        )
        try:
            with started(initialize, folder, log) as lifeline:
                yield lifeline
        finally:
            ray.shutdown()


@contextmanager
def _silent_helpers() -> Iterator[None]:
    """Suppress the long messages that Ray's helper processes print after the loss of a raylet."""
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _existing_cluster(run: RunSettings) -> Iterator[Lifeline]:
    try:
        _check_listening(run.ray)
        lifeline = _connect(address=run.ray)
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


def _connect(**options: Any) -> Lifeline:
    """Start Ray or connect to it with these options, and return the lifeline of the connection."""
    # Ray's processes must not receive the SIGHUP of a closed terminal: this process ends them.
    with blocked(signal.SIGHUP):
        context = ray.init(
            log_to_driver=False, logging_level=logging.ERROR, job_config=_OwnModules(), **options
        )
    info: Mapping[str, str] | None = getattr(context, "address_info", None)
    if info is None:
        raise ValueError("a search can't run through a Ray client: use host:port instead of ray://")
    return Lifeline(info["raylet_socket_name"], info["gcs_address"])


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


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found
