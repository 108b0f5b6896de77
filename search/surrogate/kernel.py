"""The kernel of the surrogate: how alike recipes are, by their features."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

_ROOT_5 = math.sqrt(5)


@dataclass(frozen=True)
class RecipeKernel:
    """A linear trend, and a Matérn kernel (of order 5/2) with a length scale for each column.

    Equal codes have the distance 0, different codes the distance 1. A choice among many names
    therefore has one length scale, not one for each name. A row has the covariance 1 with itself,
    and more if it is away from the trend's center: there the trend is less certain.

    Attributes:
        length_scales: [columns], above 0.
        categorical: which columns hold codes, [columns].
        slopes: the standard deviation of the trend's slope along each column, [columns]; 0: none.
        center: the row through which the trend turns, [columns].

    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, sections 2.7 (the
    trend) and 4.2.1.
    """

    length_scales: np.ndarray
    categorical: np.ndarray
    slopes: np.ndarray | float = 0.0
    center: np.ndarray | float = 0.0

    def __call__(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariance of each row with each other row, [rows, others]."""
        numbers, codes = ~self.categorical, self.categorical
        squared = np.zeros((len(rows), len(others)))
        if numbers.any():
            scales = self.length_scales[numbers]
            scaled = rows[:, numbers] / scales, others[:, numbers] / scales
            squared += cdist(*scaled, "sqeuclidean")
        if codes.any():
            weights = self.length_scales[codes] ** -2.0
            shares = cdist(rows[:, codes], others[:, codes], "hamming", w=weights)
            squared += weights.sum() * shares
        covariance: np.ndarray = matern(squared)[0] + self.trend(rows, others)
        return covariance

    def trend(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the trend's part of the covariance, [rows, others]."""
        found: np.ndarray = self._along(rows) @ self._along(others).T
        return found

    def variances(self, rows: np.ndarray) -> np.ndarray:
        """Return the covariance of each row with itself, [rows]."""
        found: np.ndarray = 1 + (self._along(rows) ** 2).sum(axis=1)
        return found

    def _along(self, rows: np.ndarray) -> np.ndarray:
        away: np.ndarray = (rows - self.center) * self.slopes
        return away


def matern(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Matérn kernel of order 5/2, and its slope.

    Args:
        squared: squared distances in length scales, any shape.

    Returns:
        The covariances, and the factor by which a column's squared distance, in its length scales,
        is multiplied to give the derivative by the logarithm of its length scale.
    """
    scaled = _ROOT_5 * np.sqrt(squared)
    decay = np.exp(-scaled)
    return (1 + scaled + scaled**2 / 3) * decay, 5 / 3 * (1 + scaled) * decay
