"""Small regressions over the table of costs, with their errors.

An error is a relative half-width: a value v with error e is expected within v * (1 ± e). It is
taken from leave-one-out residuals: how well a model fitted without a row predicts that row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

from search.cost_model.shape_law import ShapeCounts
from search.objectives.limits import LATENCY, MACS, PARAMETERS
from search.records import Cost, Shape

# Smaller errors are luck: from few rows, a few bytes of the file's own structure, or a clock.
_FEW_SIZES_ERROR = 0.05
_LEAST_SIZE_ERROR = 0.01
_LEAST_LATENCY_ERROR = 0.05
_TIMED_AT_LEAST = 6
_PENALTIES = (0.01, 0.1, 1.0, 10.0)
# A value is taken to lie within this many standard deviations.
_CERTAINTY = 2.0


@dataclass(frozen=True)
class SizeModel:
    """Bytes of one student in one quantization: affine in its weights and its vectors."""

    coefficients: np.ndarray
    error: float

    @classmethod
    def fit(cls, counts: Sequence[ShapeCounts], sizes: Sequence[float]) -> "SizeModel | None":
        """Fit the model; None where fewer than two different networks were measured.

        Args:
            counts: of the measured networks.
            sizes: of their files, in bytes.
        """
        if len({count.parameters for count in counts}) < 2:
            return None
        rows, wanted = np.stack([_size_row(c) for c in counts]), np.array(sizes, float)
        error = _FEW_SIZES_ERROR
        if len(rows) > 3:
            left = np.arange(len(rows))
            said = [rows[i] @ _solve(rows[left != i], wanted[left != i]) for i in left]
            error = max(_LEAST_SIZE_ERROR, 2 * float(np.abs(np.array(said) / wanted - 1).max()))
        return cls(_solve(rows, wanted), error)

    def predict(self, counts: ShapeCounts) -> int:
        """Return bytes."""
        return max(1, round(float(_size_row(counts) @ self.coefficients)))


def _size_row(counts: ShapeCounts) -> np.ndarray:
    return np.array([1.0, counts.weights, counts.vectors])


def _solve(rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Solve by least squares; with two rows, vectors weigh half a weight each.

    A normalisation's two vectors become one bias of the convolution that it is folded into.
    """
    if len(rows) < 3:
        joined = np.column_stack([rows[:, 0], rows[:, 1] + rows[:, 2] / 2])
        constant, slope = np.linalg.lstsq(joined, sizes, rcond=None)[0]
        return np.array([constant, slope, slope / 2])
    scale = rows.max(axis=0)
    solution: np.ndarray = np.linalg.lstsq(rows / scale, sizes, rcond=None)[0] / scale
    return solution


class LatencyModel:
    """Milliseconds of any student: a ridge regression of log latency, fitted to all timed rows.

    Its features are log MACs, log parameters, the student, the quantization, and the pair of both.
    The penalty is chosen by leave-one-out, which also gives the error.

    Args:
        timed: rows with a latency.
    """

    def __init__(self, timed: Sequence[tuple[Shape, Cost]]) -> None:
        self._kinds = sorted({kind for shape, _ in timed for kind in _kinds(shape)})
        self._known = {(shape.student, shape.quantization) for shape, _ in timed}
        self.error = float("inf")
        if len(timed) < _TIMED_AT_LEAST:
            self._known = set()
            return
        rows = np.stack(
            [self._row(shape, cost[MACS.cost], cost[PARAMETERS.cost]) for shape, cost in timed]
        )
        self._ridge = RidgeCV(alphas=_PENALTIES, store_cv_results=True)
        self._ridge.fit(rows, np.log([cost[LATENCY.cost] for _, cost in timed]))
        squared = self._ridge.cv_results_[:, _PENALTIES.index(self._ridge.alpha_)]
        spread = _CERTAINTY * float(np.sqrt(squared.mean()))
        self.error = max(_LEAST_LATENCY_ERROR, float(np.expm1(spread)))

    def predict(self, shape: Shape, *, macs: float, parameters: int) -> float | None:
        """Return milliseconds; None for a student that was never timed in this quantization."""
        if (shape.student, shape.quantization) not in self._known:
            return None
        row = self._row(shape, macs, parameters)
        return float(np.exp(row @ self._ridge.coef_ + self._ridge.intercept_))

    def _row(self, shape: Shape, macs: float, parameters: float) -> np.ndarray:
        own = _kinds(shape)
        return np.array([np.log1p(macs), np.log1p(parameters), *(k in own for k in self._kinds)])


def _kinds(shape: Shape) -> set[str]:
    return {shape.student, shape.quantization, shape.student + shape.quantization}
