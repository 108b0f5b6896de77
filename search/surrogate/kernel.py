"""The kernel of the surrogate: how alike recipes are, by their features."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

_ROOT_5 = math.sqrt(5)


@dataclass(frozen=True)
class RecipeKernel:
    """Matérn kernel (of order 5/2) with a length scale for each column, over numbers and codes.

    Equal codes have the distance 0, different codes the distance 1. A choice among many names
    therefore has one length scale, not one for each name. A row has the covariance 1 with itself.

    Attributes:
        length_scales: [columns], above 0.
        categorical: which columns hold codes, [columns].

    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, section 4.2.1.
    """

    length_scales: np.ndarray
    categorical: np.ndarray

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
        return matern(squared)[0]


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
