"""The contract of a metric: the quality of a network's predictions, as one number."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.objectives.predictions import Predictions
from spaces.names import check_stored_name

DEVIATIONS_95 = 1.959964
"""The number of standard errors that a 95% interval reaches to each side."""

Compute = Callable[[Predictions, NDArray[np.int64]], float]
"""A function of predictions and of the teacher's classes for the same images, [images]."""

Interval = Callable[[float, int], tuple[float, float]]
"""A function of a value and its number of images, which returns the ends of a 95% interval."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure that is computed from predictions and can be searched for, stored and shown.

    Attributes:
        name: the name in study files and stores, never changed; letters, digits and underscores.
        label: for people, such as `balanced accuracy`.
        description: one sentence that defines it.
        best: its value for perfect predictions; above `worst` where more is better.
        worst: its value for the worst predictions; values beyond it count the same. `best` and
            `worst` are finite.
        compute: returns its value.
        standard_error: returns the standard error of its value, in the metric's unit; 0 or more.
        uses_teacher: whether `compute` reads the teacher's classes; if so, no score under another
            teacher is reused.
        format: turns a value into text for people.
        version: to be increased with every change of `compute`, so that cached scores are not
            mixed with new ones.
        interval: returns a 95% interval that suits small samples better than the standard error;
            None takes 1.96 standard errors, kept within best and worst.

    Raises:
        ValueError: the name can't be stored, or best and worst are equal or not finite.
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
    version: int = 1
    interval: Interval | None = None

    def __post_init__(self) -> None:
        check_stored_name("metric", self.name)
        if self.best == self.worst or not (math.isfinite(self.best) and math.isfinite(self.worst)):
            raise ValueError(
                f"best and worst of metric {self.name!r} must be finite and differ, "
                f"but are {self.best} and {self.worst}"
            )

    @property
    def is_maximized(self) -> bool:
        """Whether a higher value is better."""
        return self.best > self.worst

    @property
    def is_share(self) -> bool:
        """Whether its values are shares from 0 to 1, which people read in per cent."""
        return {self.best, self.worst} == {0.0, 1.0} and self.format(0.5).endswith("%")

    def can_be(self, value: float) -> bool:
        """Return whether predictions can have this value: none is beyond `best`.

        A share is not beyond `worst` either; other metrics may be.
        """
        if self.is_share:
            return 0 <= value <= 1
        return value == self.best or self.is_better(self.best, than=value)

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value is better than another, beyond `worst` too."""
        return value > than if self.is_maximized else value < than

    def utility(self, value: float) -> float:
        """Return the value on a scale from 0, the worst, to 1, the best, which searches compare."""
        return min(max((value - self.worst) / (self.best - self.worst), 0.0), 1.0)

    def value_of(self, utility: float) -> float:
        """Return the value that has this utility."""
        return self.worst + utility * (self.best - self.worst)

    def spread_of(self, error: float) -> float:
        """Return a standard error, or a difference, on the scale of utilities."""
        return error / abs(self.best - self.worst)

    def confidence(
        self, value: float, error: float | None, images: int
    ) -> tuple[float, float] | None:
        """Return the ends of a 95% interval, lower first; None where a needed error is unknown.

        Args:
            value: the measured value.
            error: its standard error; None where an older retort measured it.
            images: the number of images that were measured.
        """
        if self.interval is not None:
            return self.interval(value, images)
        if error is None:
            return None
        low, high = sorted((self.best, self.worst))
        reach = DEVIATIONS_95 * error
        return max(low, value - reach), min(high, value + reach)

    def difference(self, value: float, other: float) -> str:
        """Return the value's difference from another as text, such as `+1.20 points`."""
        if self.is_share:
            return f"{(value - other) * 100:+.2f} points"
        return ("+" if value >= other else "-") + self.format(abs(value - other))
