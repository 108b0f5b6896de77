"""Measuring: what a student costs and how well it does, on the file that is served."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from search.data.dataset import Dataset, Part, normalize
from search.evaluation.predictions import Predictions
from search.records import Cost, Quality
from search.targets.onnx_runtime import Session
from spaces.counting import count_macs, count_parameters

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
