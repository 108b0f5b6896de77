"""Floors of a budget: the worst acceptable values of metrics, and of the recalls of classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from search.objectives.intervals import measured_text
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY, metric_of
from search.objectives.predictions import Predictions
from search.records import Measurement, Quality

RECALL = "recall"
"""The key of the recalls in a budget, and the beginning of their stored names."""

# A sum of shares may miss its exact value by a rounding error, which breaks no floor.
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The worst acceptable value of a metric on the validation images, or of a class's recall.

    Attributes:
        metric: the metric. The recall of a class is the accuracy on the images of this class.
        bound: the worst acceptable value: the lowest one, or the highest if less is better.
        of_class: the name of the class in the budget; None: the metric of all images.
    """

    metric: Metric
    bound: float
    of_class: str | None = None

    @property
    def name(self) -> str:
        """The stored name of its values: the metric's name, or such as `recall.stop`."""
        return self.metric.name if self.of_class is None else recall_name(self.of_class)

    @property
    def label(self) -> str:
        """The name for people."""
        return self.metric.label if self.of_class is None else f"recall of {self.of_class}"

    @property
    def side(self) -> str:
        """The words before the bound."""
        return "at least" if self.metric.is_maximized else "at most"

    @property
    def utility(self) -> float:
        """The bound on the scale of utilities, from 0 (worst) to 1 (best)."""
        return self.metric.utility(self.bound)

    def __str__(self) -> str:
        """Return text such as `recall of stop at least 98.00%`."""
        return f"{self.label} {self.side} {self.metric.format(self.bound)}"

    def value(self, quality: Quality) -> float | None:
        """Return the measured value; None if it was not measured."""
        found = quality.get(self.name)
        return None if found is None else found.value

    def text(self, quality: Quality) -> str:
        """Return the measured value as text, with the half of its 95% interval; a dash if none."""
        found = quality.get(self.name)
        return measured_text(self.metric, {} if found is None else {self.metric.name: found})

    def shortfall(self, value: float) -> float:
        """Return by how much a value is worse than the bound, on the scale of utilities.

        Above 0 the floor is broken; at or below 0 it holds.
        """
        miss = self.bound - value if self.metric.is_maximized else value - self.bound
        return round(self.metric.spread_of(miss), _DIGITS)

    def explain(self, value: float) -> str:
        """Return text such as `recall of stop 95.00% is below 98.00%`."""
        side = "below" if self.metric.is_maximized else "above"
        measured, bound = map(self.metric.format, (value, self.bound))
        return f"{self.label} {measured} is {side} {bound}"

    def measure(
        self, found: Predictions, teacher: NDArray[np.int64], labels: Mapping[str, int]
    ) -> Measurement | None:
        """Measure its value; None if the class has no images, or the ranks are unknown.

        Args:
            found: the predictions.
            teacher: the teacher's classes for the same images, [images].
            labels: the label of each class that the budget names.
        """
        if self.of_class is not None:
            return class_recall(found, labels[self.of_class])
        if self.metric.uses_ranks and found.ranks is None:
            return None
        metric = self.metric
        return Measurement(metric.compute(found, teacher), metric.standard_error(found, teacher))


def recall_name(of_class: str) -> str:
    """Return the stored name of a class's recall."""
    return f"{RECALL}.{of_class}"


def is_recall(name: str) -> bool:
    """Return whether a stored name is that of a class's recall."""
    return name.startswith(f"{RECALL}.")


def recall_texts(quality: Quality) -> dict[str, str]:
    """Return the measured recalls of classes as text, by labels such as `recall of stop`."""
    found = {}
    for name in filter(is_recall, quality):
        floor = Floor(metric=ACCURACY, bound=1.0, of_class=name.removeprefix(f"{RECALL}."))
        found[floor.label] = floor.text(quality)
    return found


def class_recall(found: Predictions, label: int) -> Measurement | None:
    """Return the share of a class's images that is predicted correctly; None without images."""
    own = found.of_class(label)
    if not len(own.labels):
        return None
    # The accuracy does not use the teacher's classes.
    return Measurement(
        ACCURACY.compute(own, own.classes), ACCURACY.standard_error(own, own.classes)
    )


def recalls(found: Predictions, labels: Mapping[str, int]) -> dict[str, Measurement]:
    """Return the recalls of classes by their stored names; a class without images is left out.

    Args:
        found: the predictions.
        labels: the label of each class, by its name in the budget.
    """
    measured = {recall_name(name): class_recall(found, label) for name, label in labels.items()}
    return {name: one for name, one in measured.items() if one is not None}


def parse_recalls(given: object) -> dict[str, float]:
    """Return the floors of recalls by class, from a mapping of classes to shares.

    A class without a value, such as `stop: null`, has no floor.

    Raises:
        ValueError: it is no such mapping, or a share is not above 0 and at most 1. The message
            begins with the class.
    """
    found = {}
    for name, value in _pairs(given, "classes to shares, such as {stop: 0.98}"):
        if not 0 < value <= 1:
            raise ValueError(f"{name}: must be above 0 and at most 1, but got {value:g}")
        found[name] = value
    return found


def parse_metric_floors(given: object) -> dict[str, float]:
    """Return the floors of metrics by their names, from a mapping of metrics to values.

    A metric without a value, such as `macro_f1: null`, has no floor.

    Raises:
        ValueError: it is no such mapping, a metric is unknown, or it can't have the value. The
            message begins with the metric.
    """
    found = {}
    for name, value in _pairs(given, "metrics to values, such as {macro_f1: 0.9}"):
        try:
            metric = metric_of(name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if metric.utility(value) == 0 or not metric.can_be(value):
            raise ValueError(
                f"{name}: must be better than its worst value, {metric.worst:g}, and not better "
                f"than its best one, {metric.best:g}, but got {value:g}"
            )
        found[name] = value
    return found


def _pairs(given: object, what: str) -> Iterator[tuple[str, float]]:
    """Yield the names and numbers of a mapping, without the names that have no number."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a mapping of {what}, but got {given!r}")
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"must be a mapping of {what}, but got the key {name!r}; quote it")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ValueError(f"{name}: must be a finite number, but got {value!r}")
        yield name, float(value)
