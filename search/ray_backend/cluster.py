"""The Ray that a run computes on: its own, or an existing one."""

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
from search.ray_backend.lifeline import Lifeline, knock
from search.ray_backend.local_ray import own_folder, started
from search.ray_backend.signals import held_back
from search.storage.leases import Log

_ANSWER_S = 10.0
# The lifeline of the block that has connected this process, for blocks inside it.
_LIFELINE: ContextVar[Lifeline | None] = ContextVar("_LIFELINE", default=None)


class _OwnModules(JobConfig):
    """A job whose workers import the installed modules.

    Ray would put the driver's current folder before them: any `search` or `timm` there would run.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, folders: list[str]) -> None:
        """Set nothing: this keeps Ray's own default, an empty list."""


@contextmanager
def ray_of(run: RunSettings, *, log: Log = lambda line: None, advice: str = "") -> Iterator[None]:
    """Start a Ray for the run's length, or connect to an existing one.

    Inside another such block it uses that block's Ray.

    Args:
        run: the Ray's address, and how much it gives to trials.
        log: receives a line about what takes long.
        advice: what to do if it is lost in the block, a sentence.

    Raises:
        RayUnavailable: it can't be started or reached, or was lost in the block.
    """
    if lifeline := _LIFELINE.get():
        with lifeline.telling(advice):
            yield
        return
    with _own(run, log) if run.ray == "local" else _theirs(run) as lifeline:
        # It would print whole tracebacks of a trial's process; the trial's row has the relevant
        # part.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        token = _LIFELINE.set(lifeline)
        try:
            with lifeline.telling(advice):
                yield
        finally:
            _LIFELINE.reset(token)


@contextmanager
def _own(run: RunSettings, log: Log) -> Iterator[Lifeline]:
    wide = parallel_trials(run)
    with own_folder() as folder, _silenced():
        initialize = partial(
            _connected,
            address="local",
            include_dashboard=False,
            num_cpus=wide * run.cpus,
            num_gpus=math.ceil(wide * run.gpus) or None,
            _temp_dir=str(folder),
        )
        try:
            with started(initialize, folder, log) as lifeline:
                yield lifeline
        finally:
            ray.shutdown()


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the long messages of Ray's helpers about a lost raylet out of this process's output."""
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _theirs(run: RunSettings) -> Iterator[Lifeline]:
    try:
        _knock(run.ray)
        lifeline = _connected(address=run.ray)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise RayUnavailable(
            f"run.ray: {run.ray} does not answer: {shortened(error)}. Start one with `ray start "
            "--head`, set RAY_AUTH_TOKEN if it asks for a token, or set run.ray: local"
        ) from error
    try:
        with lifeline:
            yield lifeline
    finally:
        ray.shutdown()


def _connected(**options: Any) -> Lifeline:
    """Return the lifeline of the Ray that is started or reached with these options."""
    # The SIGHUP of a closed terminal is for this process, which then ends Ray's.
    with held_back(signal.SIGHUP):
        context = ray.init(
            log_to_driver=False, logging_level=logging.ERROR, job_config=_OwnModules(), **options
        )
    info: Mapping[str, str] | None = getattr(context, "address_info", None)
    if info is None:
        raise ValueError("a search can't be driven through a client: give host:port, not ray://")
    return Lifeline(info["raylet_socket_name"], info["gcs_address"])


def _knock(address: str) -> None:
    """Raise OSError if nobody listens: Ray itself would ask for minutes."""
    address = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if separator and port.isdigit():
        knock(host.strip("[]"), int(port), timeout_s=_ANSWER_S)


def trials_at_a_time(run: RunSettings) -> int:
    """Return how many trials run side by side: as set, else as many as the existing Ray holds."""
    if run.parallel or run.ray == "local":
        return parallel_trials(run)
    there = _resources()
    by_cores = int(there.get("CPU", 0.0) // run.cpus)
    by_gpus = int(there.get("GPU", 0.0) / run.gpus) if run.gpus else by_cores
    if not (wide := min(by_cores, by_gpus)):
        raise RetortError(
            f"a trial needs {run.cpus} cores and {run.gpus:g} GPUs, but the Ray at {run.ray} has "
            f"{there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs: start it with more, "
            "or lower run.cpus or run.gpus"
        )
    return wide


def check_target(target: TargetSettings) -> None:
    """Check that the existing Ray has a machine for the target.

    Raises:
        RetortError: no machine has its resource.
    """
    if target.resource is not None and not _resources().get(target.resource):
        raise RetortError(
            f"a machine of the cluster must have the resource {target.resource}, to measure "
            "latency, but none has: start one with `ray start --address=… --num-cpus=0 "
            f"--resources='{{\"{target.resource}\": 1}}'`"
        )


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found
