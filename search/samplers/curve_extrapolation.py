"""The predicted end of a training, running or stopped, from those that ended before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

# Before this many have ended, the remaining gain can't be predicted.
ENOUGH = 3
# Hope: to end better than this share of similar trainings.
_HOPE = 0.75
# Assumed before any has ended: a lead stays as large as it is; and this assumption's error.
_SLOPE, _SLOPE_DEVIATION = 1.0, 0.2
# How far endings lie from the prediction, in logits, and how many trainings that prior is worth.
_DEVIATION, _DEVIATION_WORTH = 0.2, 3


@dataclass(frozen=True)
class Ending:
    """The predicted logit of a utility, and the variance about it."""

    logit: float
    variance: float

    @property
    def hope(self) -> float:
        """The logit above which a quarter of such trainings end."""
        return NormalDist(self.logit, sqrt(self.variance)).inv_cdf(_HOPE)


def foreseen_ending(reached: float, ended: Sequence[tuple[float, float]]) -> Ending:
    """Predict the end of a training, compression included.

    The prediction is a line through other trainings: their values at the same point, and at their
    end. Early utilities are largely noise: a training that is far behind after the first epoch ends
    only a little behind. A line models this; a gain that is the same for all would not.

    Args:
        reached: the logit of its utility at some point of its training.
        ended: of others, the logits of the utility at the same point and of the last one; at
            least one.

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
