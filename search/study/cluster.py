"""The Ray that a run computes on: its own, or one that is there."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from search.config import RunSettings
from search.errors import RetortError
from search.resources import parallel_trials


@contextmanager
def ray_of(run: RunSettings) -> Iterator[None]:
    """A Ray of our own for the run's length, or a connection to one that is there."""
    local = run.ray == "local"
    resources: dict[str, Any] = {}
    if local:
        wide = parallel_trials(run)
        resources = {"num_cpus": wide * run.cpus, "num_gpus": math.ceil(wide * run.gpus) or None}
    try:
        ray.init(
            address="local" if local else run.ray,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if local else None,
            **resources,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RetortError(
            f"run.ray: {run.ray} does not answer: {error}. Start one with `ray start --head`, "
            "set RAY_AUTH_TOKEN if it asks for a token, or set run.ray: local"
        ) from error
    # It would print whole tracebacks of a trial's process; the trial's row has what is known.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()
