"""The cores, GPUs and devices of this machine that a study uses."""

import os

import torch

from search.config.study import RunSettings
from search.errors import BadInput


def parallel_trials(run: RunSettings) -> int:
    """Return the number of parallel trials: as set, else as this machine's cores and GPUs allow.

    Raises:
        BadInput: the set number needs more cores or GPUs than a local Ray would have.
    """
    cores = os.cpu_count() or 1
    if run.parallel:
        if run.ray == "local":
            _check_room("cpus", run.parallel, run.cpus, cores, "cores")
            if gpus := torch.cuda.device_count():  # where there is none, another message reports it
                _check_room("gpus", run.parallel, run.gpus, gpus, "GPUs")
        return run.parallel
    by_cores = max(1, cores // run.cpus)
    if not run.gpus:
        return by_cores
    return min(by_cores, max(1, int(torch.cuda.device_count() / run.gpus)))


def _check_room(key: str, parallel: int, each: float, there: int, what: str) -> None:
    if parallel * each > there:
        raise BadInput(
            f"run.parallel times run.{key} must be at most this machine's {there} {what}, but got "
            f"{parallel} times {each:g}: lower one of them"
        )


def training_device(run: RunSettings) -> str:
    """Return where students are trained: on a GPU where trials are given one."""
    return "cuda" if run.gpus else "cpu"


def preparing_device(run: RunSettings) -> str:
    """Return where teachers compute in the driver process: on a GPU where trials are given one.

    A cluster's driver may have no GPU: its processor then does the same work, in more time.

    Raises:
        BadInput: trials are to run here on a GPU, but torch finds none.
    """
    if not run.gpus or torch.cuda.is_available():
        return training_device(run)
    if run.ray != "local":
        return "cpu"
    raise BadInput(
        f"run.gpus is {run.gpus:g}, but torch finds no CUDA device here: set run.gpus=0, or run "
        "where there is one"
    )
