"""The table of metrics. A new metric is an entry here, or a `Metric` in an installed plugin."""

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from search.objectives.metric import DEVIATIONS_95, Metric
from search.objectives.predictions import Predictions
from spaces.names import expected
from spaces.plugins import PluginError, plugin_entries

# Draws of a bootstrap.
_DRAWS = 200


def wilson_interval(share: float, images: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share that was observed on `images` images.

    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    square = DEVIATIONS_95**2 / images
    center = (share + square / 2) / (1 + square)
    variance = share * (1 - share) / images + square / (4 * images)
    spread = DEVIATIONS_95 * math.sqrt(variance) / (1 + square)
    return max(0.0, center - spread), min(1.0, center + spread)


def _accuracy(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return float(found.right.mean())


def _accuracy_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return _error_of_share(_accuracy(found, teacher), len(found.labels))


def _agreement(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return float((found.classes == teacher).mean())


def _agreement_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return _error_of_share(_agreement(found, teacher), len(found.labels))


def _balanced_accuracy(found: Predictions, teacher: NDArray[np.int64]) -> float:
    recalls, _ = _recalls(found)
    return float(recalls.mean())


def _balanced_accuracy_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    # The classes are independent, so the variances of their recalls add up.
    recalls, counts = _recalls(found)
    return float(math.sqrt((recalls * (1 - recalls) / counts).sum()) / len(counts))


def _macro_f1(found: Predictions, teacher: NDArray[np.int64]) -> float:
    scores, _ = _f1_scores(found)
    return float(scores.mean())


def _macro_f1_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    """Return the error by the delta method: each image's influence on the mean, squared."""
    scores, totals = _f1_scores(found, keep_empty=True)
    labels, classes = found.labels, found.classes
    influence = 2 * found.right / totals[labels]
    influence -= scores[labels] / totals[labels] + scores[classes] / totals[classes]
    return float(np.sqrt((influence**2).sum()) / (totals > 0).sum())


def _f1_scores(
    found: Predictions, *, keep_empty: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each class's F1 score, and the number of its images and of its predictions together.

    A class with neither images nor predictions is left out, as scikit-learn does, unless
    `keep_empty` keeps it with a score of 0.
    """
    length = int(max(found.labels.max(), found.classes.max())) + 1
    totals = np.bincount(found.labels, minlength=length)
    totals = totals + np.bincount(found.classes, minlength=length)
    right = np.bincount(found.labels[found.right], minlength=length)
    scores = 2 * right / np.maximum(totals, 1)
    return (scores, totals) if keep_empty else (scores[totals > 0], totals[totals > 0])


def _top5_accuracy(found: Predictions, teacher: NDArray[np.int64]) -> float:
    assert found.ranks is not None
    return float((found.ranks < 5).mean())


def _top5_accuracy_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return _error_of_share(_top5_accuracy(found, teacher), len(found.labels))


def _worst_class_recall(found: Predictions, teacher: NDArray[np.int64]) -> float:
    recalls, _ = _recalls(found)
    return float(recalls.min())


def _worst_class_recall_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    """Return the error by a parametric bootstrap: another class may be the worst by chance.

    Measured recalls differ more than true ones, so they are first drawn together (James and Stein
    1961).
    """
    recalls, counts = _recalls(found)
    by_chance = float((recalls * (1 - recalls) / counts).mean())
    spread = float(recalls.var())
    kept = max(0.0, 1 - by_chance / spread) if spread else 1.0
    true = recalls.mean() + kept * (recalls - recalls.mean())
    draws = np.random.default_rng(0).binomial(counts, true.clip(0, 1), (_DRAWS, len(counts)))
    return float((draws / counts).min(axis=1).std())


def _recalls(found: Predictions) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the share of correct predictions and the number of images of each class."""
    counts = np.bincount(found.labels)
    right = np.bincount(found.labels[found.right], minlength=len(counts))
    has_images = counts > 0
    return right[has_images] / counts[has_images], counts[has_images]


def _error_of_share(share: float, images: int) -> float:
    return math.sqrt(share * (1 - share) / images)


ACCURACY = Metric(
    name="accuracy",
    label="accuracy",
    description="the share of images whose class is predicted correctly",
    compute=_accuracy,
    standard_error=_accuracy_error,
    uses_teacher=False,
    interval=wilson_interval,
    # A class with few images hardly counts in the accuracy, even if it is never right.
    beside=("balanced_accuracy",),
)
AGREEMENT = Metric(
    name="agreement",
    label="agreement with the teacher",
    description="the share of images for which the teacher's class is predicted",
    compute=_agreement,
    standard_error=_agreement_error,
    interval=wilson_interval,
)
BALANCED_ACCURACY = Metric(
    name="balanced_accuracy",
    label="balanced accuracy",
    description="the mean over all classes of the share of images that is predicted correctly",
    compute=_balanced_accuracy,
    standard_error=_balanced_accuracy_error,
    uses_teacher=False,
)
MACRO_F1 = Metric(
    name="macro_f1",
    label="macro F1",
    description="the mean over all classes of the harmonic mean of precision and recall",
    compute=_macro_f1,
    standard_error=_macro_f1_error,
    uses_teacher=False,
)
WORST_CLASS_RECALL = Metric(
    name="worst_class_recall",
    label="worst recall",
    description="the smallest share, of all classes, of a class's images that is predicted "
    "correctly",
    compute=_worst_class_recall,
    standard_error=_worst_class_recall_error,
    uses_teacher=False,
)
TOP5_ACCURACY = Metric(
    name="top5_accuracy",
    label="top-5 accuracy",
    description="the share of images whose class is among the five most probable ones",
    compute=_top5_accuracy,
    standard_error=_top5_accuracy_error,
    uses_teacher=False,
    uses_ranks=True,
    interval=wilson_interval,
)

_OWN = (ACCURACY, AGREEMENT, BALANCED_ACCURACY, MACRO_F1, WORST_CLASS_RECALL, TOP5_ACCURACY)


@cache
def metrics() -> Mapping[str, Metric]:
    """Return all metrics by name: retort's own metrics, then those of installed plugins.

    Raises:
        PluginError: two metrics have the same name, or `beside` of a metric names none.
    """
    found: dict[str, Metric] = {}
    for metric in (*_OWN, *plugin_entries(Metric)):
        if found.get(metric.name, metric) is not metric:
            raise PluginError(f"metric names must differ, but two metrics are {metric.name!r}")
        found[metric.name] = metric
    for metric in found.values():
        if unknown := [name for name in metric.beside if name not in found]:
            raise PluginError(f"beside of {metric.name!r}: {expected('metric', unknown[0], found)}")
    return MappingProxyType(found)


def metric_of(name: str) -> Metric:
    """Return the metric with this name.

    Raises:
        ValueError: there is no such metric; the message names similar ones.
    """
    known = metrics()
    if name not in known:
        raise ValueError(expected("metric", name, known))
    return known[name]
