"""Small regressions over the table of costs, with their errors.

An error is a relative half-width: a value v with error e is expected within v * (1 ± e). It is
computed from leave-one-out residuals: the errors at each row of a model fitted to all other rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.cost_model.shape_law import ShapeCounts
from search.objectives.limits import LATENCY, MACS, PARAMETERS
from search.records import Cost, Shape

# Smaller errors would be due to chance: few rows, bytes of the file's structure, or the clock.
_FEW_SIZES_ERROR = 0.05
_LEAST_SIZE_ERROR = 0.01
_LEAST_LATENCY_ERROR = 0.05
_TIMED_AT_LEAST = 6
_PENALTIES = (0.01, 0.1, 1.0, 10.0)
# An error is this many standard deviations.
_CERTAINTY = 2.0


@dataclass(frozen=True)
class SizeModel:
    """Model of the bytes of one student in one number format: affine in its weights and vectors."""

    coefficients: np.ndarray
    error: float

    @classmethod
    def fit(cls, counts: Sequence[ShapeCounts], sizes: Sequence[float]) -> "SizeModel | None":
        """Fit the model; return None if fewer than two different networks were measured.

        Args:
            counts: the counts of the measured networks.
            sizes: the sizes of their files, in bytes.
        """
        if len({count.parameters for count in counts}) < 2:
            return None
        rows, measured = np.stack([_size_row(c) for c in counts]), np.array(sizes, float)
        error = _FEW_SIZES_ERROR
        if len(rows) > 3:
            places = np.arange(len(rows))
            predicted = [rows[i] @ _solve(rows[places != i], measured[places != i]) for i in places]
            largest = float(np.abs(np.array(predicted) / measured - 1).max())
            error = max(_LEAST_SIZE_ERROR, 2 * largest)
        return cls(_solve(rows, measured), error)

    def predict(self, counts: ShapeCounts) -> int:
        """Return the predicted bytes, at least 1."""
        return max(1, round(float(_size_row(counts) @ self.coefficients)))


def _size_row(counts: ShapeCounts) -> np.ndarray:
    return np.array([1.0, counts.weights, counts.vectors])


def _solve(rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the least-squares coefficients of constant, weights and vectors.

    Two rows can't determine three coefficients. A number in a vector then counts as half a weight,
    because the two vectors of a normalisation become one bias of the convolution before it.
    """
    if len(rows) < 3:
        joined = np.column_stack([rows[:, 0], rows[:, 1] + rows[:, 2] / 2])
        constant, slope = np.linalg.lstsq(joined, sizes, rcond=None)[0]
        return np.array([constant, slope, slope / 2])
    scale = rows.max(axis=0)
    solution: np.ndarray = np.linalg.lstsq(rows / scale, sizes, rcond=None)[0] / scale
    return solution


class LatencyModel:
    """Model of the latency of all students: a ridge regression of log latency on all timed rows.

    The features are log MACs, log parameters, the student, the number format, and the pair of both.
    Leave-one-out validation selects the penalty, and also yields the error.

    Args:
        timed: shapes with costs that include a latency.
    """

    def __init__(self, timed: Sequence[tuple[Shape, Cost]]) -> None:
        self._kinds = sorted({kind for shape, _ in timed for kind in _kinds(shape)})
        self._known = {(shape.student, shape.quantization) for shape, _ in timed}
        self.error = float("inf")
        if len(timed) < _TIMED_AT_LEAST:
            self._known = set()
            return
        from sklearn.linear_model import RidgeCV  # slow to import

        rows = np.stack(
            [self._row(shape, cost[MACS.cost], cost[PARAMETERS.cost]) for shape, cost in timed]
        )
        self._ridge = RidgeCV(alphas=_PENALTIES, store_cv_results=True)
        self._ridge.fit(rows, np.log([cost[LATENCY.cost] for _, cost in timed]))
        squared = self._ridge.cv_results_[:, _PENALTIES.index(self._ridge.alpha_)]
        spread = _CERTAINTY * float(np.sqrt(squared.mean()))
        self.error = max(_LEAST_LATENCY_ERROR, float(np.expm1(spread)))

    def predict(self, shape: Shape, *, macs: float, parameters: int) -> float | None:
        """Return milliseconds; None for a student that was never timed in this number format."""
        if (shape.student, shape.quantization) not in self._known:
            return None
        row = self._row(shape, macs, parameters)
        return float(np.exp(row @ self._ridge.coef_ + self._ridge.intercept_))

    def _row(self, shape: Shape, macs: float, parameters: float) -> np.ndarray:
        own = _kinds(shape)
        return np.array([np.log1p(macs), np.log1p(parameters), *(k in own for k in self._kinds)])


def _kinds(shape: Shape) -> set[str]:
    return {shape.student, shape.quantization, shape.student + shape.quantization}
