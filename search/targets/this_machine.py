"""Serving and measuring on this machine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from search.errors import ArtifactError, TargetError, lacks_memory
from search.targets.latency import Latency, measure_latency
from search.targets.registry import runtime
from search.targets.target import ServedModel, Target
from spaces.processor import processor_name


def load_here(path: Path, target: Target) -> ServedModel:
    """Load the file for predictions on this machine, with the target's runtime and threads.

    Raises:
        ArtifactError: the file can't be loaded.
        TargetError: the device does not start.
    """
    return runtime(target.runtime).load(path, threads=target.threads, device=target.device_here)


def time_here(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Measure the latency of each file on this machine, alternately.

    Raises:
        ArtifactError: a file can't be loaded.
        TargetError: the machine or its GPU has no memory left.
    """
    serving = runtime(target.runtime)
    try:
        with normal_priority():
            return measure_latency(
                [serving.load(path, threads=target.threads, device=target.device) for path in paths]
            )
    except ArtifactError as error:
        if lacks_memory(
            error
        ):  # not the file's fault: other processes may fill the GPU for a moment
            raise TargetError(str(error)) from error
        raise


@contextmanager
def normal_priority() -> Iterator[None]:
    """Give this thread, and the threads that it starts, the normal priority in the block.

    An existing Ray cluster runs its workers with a niceness of 15, so that every other process
    delays them. Without the right to lower the niceness, nothing changes.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, 0))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


def processor_here(device: str) -> str:
    """Return the name of the processor that serves here; for a GPU, with the name of the CPU."""
    if device == "cpu" or not torch.cuda.is_available():
        return processor_name()
    return f"{torch.cuda.get_device_name()} beside {processor_name()}"
