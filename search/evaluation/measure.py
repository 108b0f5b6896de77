"""Measurement of a student's quality, on the file that is served."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import torch

from search.data.dataset import Dataset, Part, normalize
from search.objectives.floors import recalls
from search.objectives.metrics import metrics
from search.objectives.predictions import Predictions
from search.records import Measurement, Quality
from search.targets.target import ServedModel

_BATCH = 256
_CALIBRATION_IMAGES = 512


def predictions(served: ServedModel, part: Part, dataset: Dataset) -> Predictions:
    """Return the served model's predictions for the images of `part`, at the size that it takes."""
    batches = normalized_batches(part, dataset, image_size=served.image_shape[1])
    return Predictions.of_batches(map(served.predict, batches), part.labels)


def normalized_batches(
    part: Part, dataset: Dataset, *, image_size: int | None = None
) -> Iterator[np.ndarray]:
    """Yield unaugmented, normalised images, [batch, channels, size, size], float32.

    Args:
        part: the images.
        dataset: the data set of the part.
        image_size: the size; None is that of the data set.
    """
    for batch in part.batches(_BATCH, image_size=image_size):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def calibration_batches(dataset: Dataset, *, seed: int) -> Iterator[np.ndarray]:
    """Yield normalised training images that the seed selects, for calibrating ranges."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.training), generator=generator)[:_CALIBRATION_IMAGES]
    for batch in dataset.training.batches(_BATCH, order=order):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def quality(
    found: Predictions,
    *,
    teacher: np.ndarray | None,
    classes: Mapping[str, int] = MappingProxyType({}),
) -> Quality:
    """Return all metrics that can be computed from the predictions, and the recalls of classes.

    Args:
        found: the predictions.
        teacher: the teacher's classes, [images], int64. With None, the result omits the metrics
            that compare with the teacher.
        classes: the label of each class whose recall a budget bounds, by its name in the budget. A
            class without images has no recall.
    """
    others = found.classes if teacher is None else teacher
    measured = {
        name: Measurement(metric.compute(found, others), metric.standard_error(found, others))
        for name, metric in metrics().items()
        if (teacher is not None or not metric.uses_teacher)
        and (found.ranks is not None or not metric.uses_ranks)
    }
    return measured | recalls(found, classes)
