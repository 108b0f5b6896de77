"""The scale of targets that are compared with a bound: logits near the bound."""

import numpy as np

from search.surrogate.logit_scale import from_logits, to_logits

# Values that are further from the bound, in logits, count as this far: only the side matters there.
_REACH = 2.0
# The prior standard deviation of recipes' logits, and the number of observations that it counts as.
_SPREAD, _SPREAD_WORTH = 0.3, 3


class BoundScale:
    """The map between utilities and standardised targets, for the chance to reach a bound.

    `UtilityScale` moves bad utilities near the good ones, since an objective needs only the good
    ones told apart. A bound may lie between the good and the bad ones, so their distance must stay.

    Args:
        utilities: the observed utilities, shares from 0 to 1, [observations]; at least one.
        bound: the utility of the bound.
    """

    def __init__(self, utilities: np.ndarray, bound: float) -> None:
        self._bound = float(to_logits(np.array(bound)))
        logits = self._clipped(utilities)
        self._mean = float(logits.mean())
        away = logits - self._mean
        squares = float(away @ away) + _SPREAD_WORTH * _SPREAD**2
        self._deviation = float(np.sqrt(squares / (len(away) + _SPREAD_WORTH)))

    def standard(self, utilities: np.ndarray) -> np.ndarray:
        """Return the standardised target of each utility, any shape."""
        standard: np.ndarray = (self._clipped(utilities) - self._mean) / self._deviation
        return standard

    def variances(self, utilities: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Return the variance of each standardised target, as `UtilityScale.variances` does."""
        found: np.ndarray = variances / self._deviation**2
        return found

    def utilities(self, standard: np.ndarray) -> np.ndarray:
        """Return the utility of each standardised target, any shape."""
        return from_logits(standard * self._deviation + self._mean)

    def _clipped(self, utilities: np.ndarray) -> np.ndarray:
        low, high = self._bound - _REACH, self._bound + _REACH
        clipped: np.ndarray = np.clip(to_logits(utilities), low, high)
        return clipped
