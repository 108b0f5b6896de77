"""The contract of a metric: one number for the quality of a network's predictions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.objectives.predictions import Predictions
from spaces.names import check_stored_name

DEVIATIONS_95 = 1.959964
"""The half-width of a 95% interval, in standard errors."""

Compute = Callable[[Predictions, NDArray[np.int64]], float]
"""A function of predictions and of the teacher's classes for the same images, [images]."""

Interval = Callable[[float, int], tuple[float, float]]
"""A function that returns the ends of a 95% interval from a value and its number of images."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of predictions, which can be maximised, stored and shown.

    Attributes:
        name: the name in study files and stores, which never changes; letters, digits, underscores.
        label: the name for people, such as `balanced accuracy`.
        description: one sentence that defines it.
        best: the value for perfect predictions; above `worst` if more is better.
        worst: the value for the worst predictions; values beyond it have the same utility. `best`
            and `worst` must be finite.
        compute: returns the value.
        standard_error: returns the standard error of the value, in the metric's unit; 0 or more.
        uses_ranks: whether `compute` uses `Predictions.ranks`, which may be unknown.
        uses_teacher: whether `compute` uses the teacher's classes; if so, a score with another
            teacher is not reused.
        format: converts a value to text for people.
        version: increase it with every change of `compute`; cached scores are then computed again.
        interval: returns a 95% interval for small samples; None uses 1.96 standard errors, clipped
            to the range from best to worst.
        beside: the names of metrics that are shown beside this one where it is the goal's own,
            because this one can hide what they show.

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
    uses_ranks: bool = False
    format: Callable[[float], str] = "{:.2%}".format
    version: int = 1
    interval: Interval | None = None
    beside: tuple[str, ...] = ()

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
        """Whether its values are shares from 0 to 1 that are shown in per cent."""
        return {self.best, self.worst} == {0.0, 1.0} and self.format(0.5).endswith("%")

    def can_be(self, value: float) -> bool:
        """Return whether predictions can have this value.

        No value is beyond `best`. A share is not beyond `worst` either; other metrics may be.
        """
        if self.is_share:
            return 0 <= value <= 1
        return value == self.best or self.is_better(self.best, than=value)

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value is better than another; values beyond `worst` differ here."""
        return value > than if self.is_maximized else value < than

    def utility(self, value: float) -> float:
        """Return the value on the scale of utilities, from 0 (worst) to 1 (best)."""
        return min(max((value - self.worst) / (self.best - self.worst), 0.0), 1.0)

    def value_of(self, utility: float) -> float:
        """Return the metric's value with this utility."""
        return self.worst + utility * (self.best - self.worst)

    def spread_of(self, error: float) -> float:
        """Convert a standard error or a difference to the scale of utilities."""
        return error / abs(self.best - self.worst)

    def confidence(
        self, value: float, error: float | None, images: int
    ) -> tuple[float, float] | None:
        """Return the ends of a 95% interval, the lower one first; None without a required error.

        Args:
            value: the measured value.
            error: its standard error; None in records of older versions of retort.
            images: the number of images of the measurement.
        """
        if self.interval is not None:
            return self.interval(value, images)
        if error is None:
            return None
        low, high = sorted((self.best, self.worst))
        reach = DEVIATIONS_95 * error
        return max(low, value - reach), min(high, value + reach)

    def difference(self, value: float, other: float) -> str:
        """Return the difference of two values as text, such as `+1.20 points`."""
        if self.is_share:
            return f"{(value - other) * 100:+.2f} points"
        return ("+" if value >= other else "-") + self.format(abs(value - other))
