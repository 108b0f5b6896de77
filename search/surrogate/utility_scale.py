"""The scale of the surrogate's targets: utilities, so that good ones are the best told apart."""

import math

import numpy as np

from search.surrogate.logit_scale import from_logits, to_logits

# Logits that are below the best one by more than this count as bad.
_REACH = 1.0
# Bad logits are compressed by the logarithm of their distance, in units of this one.
_BEND = 0.25
# The largest distance of a compressed logit that is converted back, to one 13 below the good ones:
# beyond it all is equally bad.
_MOST_BENT = 4 * _BEND
# The prior standard deviation of recipes' logits, and the number of observations that it counts as:
# the first observations come from few trainings, and are too similar. Good ones may even be equal.
_SPREAD, _SPREAD_WORTH = 0.3, 3


class UtilityScale:
    """The map between utilities and standardised targets.

    Good utilities are only converted to logits. Bad ones, trainings that learned little among them,
    are moved near the good ones, by the logarithm of their distance. So the surrogate need not
    explain how bad the bad ones are, but still learns what makes them bad.

    Args:
        utilities: the observed utilities, shares from 0 to 1, [observations]; at least one.

    Source: that objectives need warping, Song et al. 2024, The Vizier Gaussian Process Bandit
    Algorithm, arXiv:2408.11527, section 3.2. Their half-rank warping replaces all values below the
    median by ranks; a surrogate then no longer sees what makes recipes bad.
    """

    def __init__(self, utilities: np.ndarray) -> None:
        logits = to_logits(utilities)
        self._least_good = float(logits.max()) - _REACH
        targets = self._warp(logits)
        self._mean = float(targets.mean())
        self._deviation = _deviation(targets - self._mean)

    def standard(self, utilities: np.ndarray) -> np.ndarray:
        """Return the standardised target of each utility, any shape."""
        return (self._warp(to_logits(utilities)) - self._mean) / self._deviation

    def variances(self, utilities: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Return the variance of each standardised target, [utilities].

        Args:
            utilities: [utilities].
            variances: the variances of their logits, [utilities].
        """
        logits, deviations = to_logits(utilities), np.sqrt(variances)
        edges = self._warp(logits + deviations) - self._warp(logits - deviations)
        found: np.ndarray = (edges / 2 / self._deviation) ** 2
        return found

    def utilities(self, standard: np.ndarray) -> np.ndarray:
        """Return the utility of each standardised target, any shape."""
        warped = standard * self._deviation + self._mean
        bent = np.clip(self._least_good - warped, 0.0, _MOST_BENT)
        unbent = self._least_good - _BEND * np.expm1(bent / _BEND)
        return from_logits(np.where(bent > 0, unbent, warped))

    def _warp(self, logits: np.ndarray) -> np.ndarray:
        below = np.maximum(self._least_good - logits, 0.0)
        bent = self._least_good - _BEND * np.log1p(below / _BEND)
        warped: np.ndarray = np.where(below > 0, bent, logits)
        return warped


def _deviation(distances: np.ndarray) -> float:
    """Return the root of the mean squared distance, with the prior's."""
    squares = float(distances @ distances) + _SPREAD_WORTH * _SPREAD**2
    return math.sqrt(squares / (len(distances) + _SPREAD_WORTH))
