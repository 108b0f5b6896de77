"""What a training that is under way, or was stopped, comes to: by those that ended before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

# Before so many have ended, nothing tells what is still to be gained.
ENOUGH = 3
# Hope is to come out better than so large a share of those like it.
_HOPE = 0.75
# Expected before any has ended: that who is ahead stays ahead, by as much; and how wrong that is.
_SLOPE, _SLOPE_DEVIATION = 1.0, 0.2
# How far endings lie from what is foreseen, in logits, and how many trainings that is worth.
_DEVIATION, _DEVIATION_WORTH = 0.2, 3


@dataclass(frozen=True)
class Ending:
    """The logit of a utility that is foreseen, and the variance about it."""

    logit: float
    variance: float

    @property
    def hope(self) -> float:
        """The logit above which a quarter of such trainings end."""
        return NormalDist(self.logit, sqrt(self.variance)).inv_cdf(_HOPE)


def foreseen_ending(reached: float, ended: Sequence[tuple[float, float]]) -> Ending:
    """What a training comes to, compression included.

    A line through what others reached at the same point and ended with. Early utilities are noise
    in good part: who is far behind after the first epoch ends little behind, and a line says so,
    where a gain that is the same for all would not.

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
