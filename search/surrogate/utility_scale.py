"""The scale of the surrogate's targets: utilities, so that good ones are the best told apart."""

import math

import numpy as np
from scipy.special import ndtri

from search.surrogate.logit_scale import from_logits, to_logits

# The prior standard deviation of recipes' logits, and the number of observations that it counts as:
# the first observations come from few trainings, and are too similar. Good ones may even be equal.
_SPREAD, _SPREAD_WORTH = 0.3, 3


class UtilityScale:
    """The map between utilities and standardised targets.

    Utilities from the median on are only converted to logits. Those below it, trainings that
    learned little among them, are moved near the median by their ranks: as far as the lower half of
    a normal distribution with the spread of the upper half. So the surrogate need not explain how
    bad the bad ones are. Utilities outside of the observed range are mapped as the nearest one if
    they are below it, and by their logits if they are above.

    Args:
        utilities: the observed utilities, shares from 0 to 1, [observations]; at least one.

    Source: the half-rank warping of Song et al. 2024, The Vizier Gaussian Process Bandit Algorithm,
    arXiv:2408.11527, section 3.2.
    """

    def __init__(self, utilities: np.ndarray) -> None:
        logits = to_logits(utilities)
        self._median = float(np.median(logits))
        spread = _deviation(logits[logits >= self._median] - self._median)
        shares = (_ranks(logits) - 0.5) / len(logits)
        is_low = logits < self._median
        warped = self._median + spread * ndtri(np.minimum(shares, 0.5))
        self._logits, places = np.unique(logits[is_low], return_index=True)
        self._warped = warped[is_low][places]
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
        return from_logits(self._between(warped, self._warped, self._logits))

    def _warp(self, logits: np.ndarray) -> np.ndarray:
        return self._between(logits, self._logits, self._warped)

    def _between(self, values: np.ndarray, given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Interpolate values below the median; return the others as they are."""
        knots = np.append(given, self._median), np.append(wanted, self._median)
        return np.where(values < self._median, np.interp(values, *knots), values)


def _deviation(distances: np.ndarray) -> float:
    """Return the root of the mean squared distance, with the prior's."""
    squares = float(distances @ distances) + _SPREAD_WORTH * _SPREAD**2
    return math.sqrt(squares / (len(distances) + _SPREAD_WORTH))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1, [values]; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
