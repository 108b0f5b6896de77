"""Measuring: what a student costs and how well it does, on the file that is served."""

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from search.data.dataset import Dataset, Part, normalize
from search.objectives.limit import CountedStudent
from search.objectives.limits import MACS, PARAMETERS, SIZE, limits
from search.objectives.metrics import metrics
from search.objectives.predictions import Predictions
from search.records import Cost, Measurement, Quality
from search.targets.onnx_runtime import Session

_BATCH = 256
_CALIBRATION_IMAGES = 512


def count_cost(
    network: nn.Module,
    path: Path,
    image_shape: tuple[int, int, int],
    *,
    known: Cost = MappingProxyType({}),
) -> Cost:
    """The countable part of the cost of the student in the file `path`: nothing is timed.

    Args:
        network: its float form.
        path: the file that is served.
        image_shape: channels, height, width.
        known: what was counted before, and is not counted again.
    """
    student = CountedStudent(path=path, network=network, image_shape=image_shape)
    return {
        limit.cost: known[limit.cost] if limit.cost in known else limit.count(student)
        for limit in limits().values()
        if limit.count is not None
    }


def count_operations(network: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """What is counted on the network alone, of images [channels, height, width].

    Parameters, and multiply-accumulates of convolutions and matrix products for one image, as
    `spaces.counting` has them.
    """
    student = CountedStudent(path=Path(), network=network, image_shape=image_shape)
    return {limit.cost: limit.count(student) for limit in (PARAMETERS, MACS) if limit.count}


def grown(cost: Cost, more: int) -> Cost:
    """`cost` of a file that is so many bytes larger."""
    return {**cost, SIZE.cost: cost[SIZE.cost] + more}


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


def quality(found: Predictions, *, teacher: np.ndarray | None) -> Quality:
    """All metrics of predictions that can be told.

    Args:
        found: the predictions.
        teacher: the teacher's classes, [images], int64; without them the metrics that compare with
            the teacher are left out.
    """
    classes = found.classes if teacher is None else teacher
    return {
        name: Measurement(metric.compute(found, classes), metric.standard_error(found, classes))
        for name, metric in metrics().items()
        if teacher is not None or not metric.uses_teacher
    }
