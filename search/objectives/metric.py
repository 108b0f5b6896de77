"""The contract of a metric: how good a network's predictions are, as one number."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.objectives.predictions import Predictions

# Standard errors that a 95% interval reaches to each side.
_DEVIATIONS_95 = 1.959964

Compute = Callable[[Predictions, NDArray[np.int64]], float]
"""From predictions, and the classes that the teacher predicts for the same images, [images]."""

Interval = Callable[[float, int], tuple[float, float]]
"""From a value and the number of images that it was measured on: the ends of a 95% interval."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure that is computed from predictions and may be searched for, stored and shown.

    Attributes:
        name: in study files and stores, for ever; letters, digits and underscores.
        label: for people, such as `balanced accuracy`.
        description: what it is, in a sentence.
        best: its value for perfect predictions; above `worst` where more is better.
        worst: its value for the worst ones; beyond it all values count alike. Both are finite.
        compute: its value.
        standard_error: the standard error of its value, in the metric's unit; 0 or more.
        uses_teacher: whether `compute` reads the teacher's classes; where it does, nothing that was
            scored with another teacher is reused.
        format: how a value is written for people.
        interval: a 95% interval that serves small samples better than the standard error does;
            None takes 1.96 standard errors, kept within best and worst.
    """

    name: str
    label: str
    description: str
    compute: Compute
    standard_error: Compute
    best: float = 1.0
    worst: float = 0.0
    uses_teacher: bool = True
    format: Callable[[float], str] = "{:.2%}".format
    interval: Interval | None = None

    @property
    def is_maximized(self) -> bool:
        """Whether a higher value is better."""
        return self.best > self.worst

    def utility(self, value: float) -> float:
        """The value on a scale from 0, the worst, to 1, the best: what searches compare."""
        return min(max((value - self.worst) / (self.best - self.worst), 0.0), 1.0)

    def value_of(self, utility: float) -> float:
        """The value of a utility."""
        return self.worst + utility * (self.best - self.worst)

    def spread_of(self, error: float) -> float:
        """A standard error, or a difference, on the scale of utilities."""
        return error / abs(self.best - self.worst)

    def confidence(
        self, value: float, error: float | None, images: int
    ) -> tuple[float, float] | None:
        """The lower and the upper end of a 95% interval; None where nothing tells.

        Args:
            value: what was measured.
            error: its standard error; None where an older retort measured it.
            images: on so many images.
        """
        if self.interval is not None:
            return self.interval(value, images)
        if error is None:
            return None
        low, high = sorted((self.best, self.worst))
        reach = _DEVIATIONS_95 * error
        return max(low, value - reach), min(high, value + reach)

    def difference(self, value: float, other: float) -> str:
        """By how much the value differs from another, such as `+1.20 points`."""
        if self.format(0.5).endswith("%"):
            return f"{(value - other) * 100:+.2f} points"
        return ("+" if value >= other else "-") + self.format(abs(value - other))
