"""The Ray that a run computes on: its own, or one that is there."""

import logging
import math
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from search.errors import RetortError, shortened
from search.settings.config import RunSettings, Target
from search.settings.resources import parallel_trials
from search.signals import held_back

_ANSWER_S = 10.0


@contextmanager
def ray_of(run: RunSettings) -> Iterator[None]:
    """A Ray of our own for the run's length, or a connection to one that is there.

    Inside of another such block it is that one's.

    Raises:
        RetortError: it can't be started or reached.
    """
    if ray.is_initialized():
        yield
        return
    local = run.ray == "local"
    resources: dict[str, Any] = {}
    if local:
        wide = parallel_trials(run)
        resources = {"num_cpus": wide * run.cpus, "num_gpus": math.ceil(wide * run.gpus) or None}
    try:
        _knock(run.ray)
        # The SIGHUP of a closed terminal is for this process, which then ends Ray's.
        with held_back(signal.SIGHUP):
            ray.init(
                address="local" if local else run.ray,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if local else None,
                **resources,
            )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise RetortError(
            f"run.ray: {run.ray} does not answer: {shortened(error)}. Start one with `ray start "
            "--head`, set RAY_AUTH_TOKEN if it asks for a token, or set run.ray: local"
        ) from error
    # It would print whole tracebacks of a trial's process; the trial's row has what is known.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself would ask for minutes."""
    address = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()


def trials_at_a_time(run: RunSettings) -> int:
    """How many trials run side by side: as set, else as many as the Ray that is there can hold."""
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


def check_target(target: Target) -> None:
    """Makes sure that a machine of the Ray that is there stands for the target.

    Raises:
        RetortError: none has its resource.
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
