"""Measuring on this machine."""

from collections.abc import Sequence
from pathlib import Path

import torch

from search.config.study import Target
from search.errors import ArtifactError, TargetError, lacks_memory
from search.targets.latency import Latency, measure_latency
from search.targets.onnx_runtime import Session
from spaces.processor import processor_name


def time_here(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Latency of each file on this machine, measured in turns.

    Raises:
        ArtifactError: a file can't be loaded.
        TargetError: there is no memory left.
    """
    try:
        return measure_latency(
            [Session(path, threads=target.threads, device=target.device) for path in paths]
        )
    except ArtifactError as error:
        if lacks_memory(error):  # of no file: others may fill a GPU for a moment
            raise TargetError(str(error)) from error
        raise


def processor_here(device: str) -> str:
    """The name of the processor that serves on this machine; of a GPU with what drives it."""
    if device == "cpu" or not torch.cuda.is_available():
        return processor_name()
    return f"{torch.cuda.get_device_name()} beside {processor_name()}"
