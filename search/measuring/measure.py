"""Measuring: what a student costs and how well it does, on the file that is served."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from search.data.dataset import Dataset, Part, normalize
from search.errors import ArtifactError, TargetError, lacks_memory
from search.measuring.predictions import Predictions
from search.measuring.runtime import Session
from search.measuring.timing import Latency, measure_latency
from search.profiling.client import ask_agent, describe_agent
from search.records import Cost, Quality
from search.settings.config import Target
from spaces.counting import count_macs, count_parameters
from spaces.processor import processor_name

_BATCH = 256
_CALIBRATION_IMAGES = 512


def count_cost(network: nn.Module, path: Path, image_shape: tuple[int, int, int]) -> Cost:
    """The countable part of the cost of the student in the file `path`: nothing is timed.

    Args:
        network: its float form.
        path: the file that is served.
        image_shape: channels, height, width.
    """
    parameters, macs = count_operations(network, image_shape)
    return Cost(size_bytes=path.stat().st_size, parameters=parameters, macs=macs)


def grown(cost: Cost, more: int) -> Cost:
    """`cost` of a file that is so many bytes larger."""
    return replace(cost, size_bytes=cost.size_bytes + more)


def time_cost(cost: Cost, path: Path, target: Target) -> Cost:
    """`cost` with the latency of the file `path` on the target."""
    (latency,) = time_files([path], target)
    return replace(cost, latency_ms=latency.median_ms, latency_p95_ms=latency.p95_ms)


def time_files(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Latency of each file on the target, measured in turns.

    Raises:
        ArtifactError: a file can't be loaded.
        TargetError: the target's agent does not answer; or this machine has no memory left.
    """
    if target.agent:
        return [ask_agent(target.agent, path, threads=target.threads).latency for path in paths]
    if target.resource is not None:
        from search.study.timing import time_on_target  # Ray only where there is a cluster

        return time_on_target(paths, target)
    try:
        return measure_latency(
            [Session(path, threads=target.threads, device=target.device) for path in paths]
        )
    except ArtifactError as error:
        if lacks_memory(error):  # of no file: others may fill a GPU for a moment
            raise TargetError(str(error)) from error
        raise


def processor_of(target: Target) -> str:
    """The name of the processor that latency is measured on."""
    if target.agent is not None:
        return describe_agent(target.agent).processor
    if target.resource is None:
        return processor_here(target.device)
    from search.study.timing import processor_on_target

    return processor_on_target(target)


def processor_here(device: str) -> str:
    """The name of the processor that serves on this machine; of a GPU with what drives it."""
    if device == "cpu" or not torch.cuda.is_available():
        return processor_name()
    return f"{torch.cuda.get_device_name()} beside {processor_name()}"


def count_operations(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates for one image [channels, height, width].

    The latter are those of convolutions and matrix products, as `spaces.counting` has them.
    """
    return count_parameters(network), count_macs(network, torch.zeros(1, *image_shape))


def predictions(session: Session, part: Part, dataset: Dataset) -> Predictions:
    """What is predicted for the images of `part`."""
    batches = normalized_batches(part, dataset)
    logits = np.concatenate([session.predict(images) for images in batches])
    return Predictions.of_logits(logits, part.labels)


def normalized_batches(part: Part, dataset: Dataset) -> Iterator[np.ndarray]:
    """The unaugmented images as students take them, [batch, channels, size, size], float32."""
    for batch in part.batches(_BATCH):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def calibration_batches(dataset: Dataset, *, seed: int) -> Iterator[np.ndarray]:
    """Some normalised training images, drawn by seed, for calibrating ranges."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.training), generator=generator)[:_CALIBRATION_IMAGES]
    for batch in dataset.training.batches(_BATCH, order=order):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def quality(found: Predictions, *, teacher: np.ndarray) -> Quality:
    """Quality of predictions; `teacher` holds the teacher's classes, [images], int64."""
    return Quality(accuracy=found.accuracy, agreement=float((found.classes == teacher).mean()))
