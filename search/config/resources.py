"""The cores, GPUs and devices of this machine that a study uses."""

import os

from search.config.data_settings import DataSettings
from search.config.study import RunSettings
from search.errors import BadInput

_MOST_DECODING = 16


def parallel_trials(run: RunSettings) -> int:
    """Return the number of parallel trials: as set, or else what cores and GPUs allow.

    Raises:
        BadInput: the set number needs more cores or GPUs than this machine has, and Ray is local.
    """
    cores = os.cpu_count() or 1
    if run.parallel:
        if run.ray == "local":
            _check_room("cpus", run.parallel, run.cpus, cores, "cores")
            if run.gpus and (gpus := _gpus()):  # without any, another error reports it
                _check_room("gpus", run.parallel, run.gpus, gpus, "GPUs")
        return run.parallel
    by_cores = max(1, cores // run.cpus)
    if not run.gpus:
        return by_cores
    return min(by_cores, max(1, int(_gpus() / run.gpus)))


def _gpus() -> int:
    import torch  # it takes seconds to import, and a run without GPUs starts Ray before it

    return torch.cuda.device_count()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _check_room(key: str, parallel: int, each: float, there: int, what: str) -> None:
    if parallel * each > there:
        raise BadInput(
            f"run.parallel times run.{key} must be at most this machine's {there} {what}, but got "
            f"{parallel} times {each:g}: lower one of them"
        )


def training_device(run: RunSettings) -> str:
    """Return the device on which students are trained: a GPU if trials have one."""
    return "cuda" if run.gpus else "cpu"


def preparing_device(run: RunSettings) -> str:
    """Return the device on which the driver process runs teachers: a GPU if trials have one.

    A cluster's driver may have no GPU. Then its CPU does the same work more slowly.

    Raises:
        BadInput: trials must run on a GPU of this machine, but torch finds none.
    """
    if not run.gpus or _has_gpu():
        return training_device(run)
    if run.ray != "local":
        return "cpu"
    raise BadInput(
        f"run.gpus must be 0 on a machine without a CUDA device, but got {run.gpus:g}: set "
        "run.gpus=0, or run the search on a machine that has one"
    )


def preparing_cores() -> int:
    """Return the number of this machine's cores that decode images before the first trial."""
    return min(os.cpu_count() or 1, _MOST_DECODING)


def decoding_processes(data: DataSettings, *, cores: int) -> int:
    """Return the number of processes, or threads, that decode images.

    Args:
        data: the `data` section of a study file.
        cores: the number of cores for the work that needs the images. A process that has decoded
            images ahead waits, so these cores are not used twice for long.
    """
    return min(cores, _MOST_DECODING) if data.workers is None else data.workers
