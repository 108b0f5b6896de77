"""Predicts the final utility of a training from those that ended before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

# The number of ended trainings that a prediction needs.
ENOUGH = 3
# The optimistic prediction is this quantile of the final utilities of similar trainings.
_OPTIMISTIC_QUANTILE = 0.75
# The prior mean and standard deviation of the slope; a slope of 1 means that a lead stays constant.
_SLOPE, _SLOPE_DEVIATION = 1.0, 0.2
# The prior standard deviation of final utilities from the prediction, in logits, and the number of
# trainings that this prior counts as.
_DEVIATION, _DEVIATION_WORTH = 0.2, 3


@dataclass(frozen=True)
class Ending:
    """A predicted final utility: the mean of its logit, and the variance."""

    logit: float
    variance: float

    @property
    def optimistic_logit(self) -> float:
        """The logit that the final utilities of a quarter of such trainings exceed."""
        return NormalDist(self.logit, sqrt(self.variance)).inv_cdf(_OPTIMISTIC_QUANTILE)


@dataclass(frozen=True)
class EndingLine:
    """A linear regression over ended trainings, from their logits at one point to the final ones.

    Early utilities contain much noise: a training that is far behind after the first epoch ends
    only a little behind. A line models this; one constant gain for all trainings would not.

    Attributes:
        middle: the mean logit at the point.
        level: the mean final logit.
        slope: the slope of the line through both.
        noise: the variance of final logits around the line.
        spread: the sum of squares of the logits at the point, around their mean, with the prior's.
        count: the number of trainings.

    Source: linear regression with a normal prior on its slope, Bishop 2006, Pattern Recognition
    and Machine Learning, section 3.3.
    """

    middle: float
    level: float
    slope: float
    noise: float
    spread: float
    count: int

    @classmethod
    def through(cls, ended: Sequence[Sequence[float]]) -> "EndingLine":
        """Return the line through ended trainings.

        Args:
            ended: for each of at least one training, the logit of its utility at the point and the
                logit of its final utility.
        """
        at, last = np.array(ended).T
        worth = (_DEVIATION / _SLOPE_DEVIATION) ** 2
        middle, level, count = float(at.mean()), float(last.mean()), len(at)
        spread = float(((at - middle) ** 2).sum()) + worth
        slope = (float((at - middle) @ (last - level)) + worth * _SLOPE) / spread
        misses = float(((last - level - slope * (at - middle)) ** 2).sum())
        noise = (misses + _DEVIATION_WORTH * _DEVIATION**2) / (count + _DEVIATION_WORTH)
        return cls(middle, level, slope, noise, spread, count)

    def ending(self, reached: float) -> Ending:
        """Predict the final utility, after compression, of a training with this logit at the point.

        Args:
            reached: the logit of the training's utility.
        """
        away = reached - self.middle
        variance = self.noise * (1 + 1 / self.count + away**2 / self.spread)
        return Ending(self.level + self.slope * away, variance)
