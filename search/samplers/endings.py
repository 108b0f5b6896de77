"""The predicted endings of trials that were stopped early."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from search.samplers.curve_extrapolation import ENOUGH, Ending, EndingLine
from search.samplers.history import Curve, FinishedTrial, StoppedTrial
from search.surrogate.logit_scale import to_logits

# The gain after an early stop while too few finished curves exist: in logits, for each unit of the
# natural logarithm of training time, and its standard deviation.
_GAIN, _GAIN_DEVIATION = 0.4, 0.4


class Endings:
    """Predicts the utilities that stopped trials would have reached, after compression.

    The predictions use the utilities of finished trials at the same share of their epochs.
    """

    def __init__(self) -> None:
        self._finished: list[FinishedTrial] = []
        # By share: the logits at the share and at the end, of the first finished trials.
        self._ended: dict[float, list[Sequence[float]]] = {}

    def add(self, finished: Iterable[FinishedTrial]) -> None:
        """Learn from trials that have finished since the last call."""
        self._finished += [one for one in finished if one.curve]

    def of(self, stopped: StoppedTrial) -> Ending:
        """Return the predicted ending of the trial."""
        (reached,) = to_logits(np.array([stopped.utility])).tolist()
        if len(self._finished) >= ENOUGH:
            return EndingLine.through(self._at_share(stopped.share)).ending(reached)
        log_remaining = -math.log(min(max(stopped.share, 0.01), 1.0))
        variance = 0.05 + (_GAIN_DEVIATION * log_remaining) ** 2
        return Ending(reached + _GAIN * log_remaining, variance)

    def _at_share(self, share: float) -> Sequence[Sequence[float]]:
        known = self._ended.setdefault(share, [])
        if new := self._finished[len(known) :]:
            ended = np.array([(_at(share, one.curve), one.utility) for one in new])
            known += to_logits(ended).tolist()
        return known


def _at(share: float, curve: Curve) -> float:
    """Return the utility of the curve's point that is nearest to the share."""
    return min(curve, key=lambda point: abs(point[0] - share))[1]
