"""Predicts the final utility of a training from those that ended before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

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


def predicted_ending(reached: float, ended: Sequence[tuple[float, float]]) -> Ending:
    """Predict the final utility of a training, after compression.

    The prediction is a linear regression over other trainings: from their logits at the same point
    to their final logits. Early utilities contain much noise: a training that is far behind after
    the first epoch ends only a little behind. A line models this; one constant gain for all
    trainings would not.

    Args:
        reached: the logit of the training's utility at some point.
        ended: for each of at least one other training, the logit of its utility at the same point
            and the logit of its final utility.

    Source: linear regression with a normal prior on its slope, Bishop 2006, Pattern Recognition
    and Machine Learning, section 3.3.
    """
    worth = (_DEVIATION / _SLOPE_DEVIATION) ** 2
    middle = fmean(at for at, _ in ended)
    level = fmean(last for _, last in ended)
    spread = sum((at - middle) ** 2 for at, _ in ended) + worth
    shared = sum((at - middle) * (last - level) for at, last in ended) + worth * _SLOPE
    slope = shared / spread
    misses = sum((last - level - slope * (at - middle)) ** 2 for at, last in ended)
    count = len(ended)
    noise = (misses + _DEVIATION_WORTH * _DEVIATION**2) / (count + _DEVIATION_WORTH)
    away = reached - middle
    return Ending(level + slope * away, noise * (1 + 1 / count + away**2 / spread))
