"""The surrogate: a Gaussian process that predicts the utility of recipes that were not tried."""

import math
from collections.abc import Callable
from copy import copy
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
    WhiteKernel,
)

from search.samplers.features import squared_differences
from search.samplers.logit_scale import from_logits, to_logits

# A training that failed to learn counts as this far, in logits, below the best, and no further.
_DEPTH = 5.0
# The prior deviation of recipes' logits, and how many observations it is worth: the first
# observations come from few trainings, and are alike.
_SPREAD, _SPREAD_WORTH = 0.3, 3
# Hyperparameters are fitted to at most this many observations, in at most this many steps.
_FITTED_ON = 100
_STEPS = 15
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])
# No optimum comes near these bounds: the prior keeps it inside, so scikit-learn need not warn.
_BOUNDS = (1e-6, 1e6)

# A function to minimise with its gradient, the point to start from, the bounds; as scikit-learn
# calls it.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


class RecipeKernel(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """Matérn kernel (of order 5/2) with a length scale for each column, over numbers and codes.

    Equal codes are at distance 0, and different ones at distance 1, so that a choice among many
    names has one length scale, not one for each name.

    Args:
        length_scales: [columns], above 0.
        categorical: which columns hold codes, [columns].

    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, section 4.2.1.
    """

    def __init__(self, length_scales: np.ndarray, categorical: np.ndarray) -> None:
        self.length_scales = length_scales
        self.categorical = categorical

    @property
    def hyperparameter_length_scales(self) -> Any:
        return Hyperparameter("length_scales", "numeric", _BOUNDS, len(self.categorical))

    def __call__(
        self,
        X: np.ndarray,  # noqa: N803  scikit-learn's name
        Y: np.ndarray | None = None,  # noqa: N803
        eval_gradient: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return the kernel between rows; on request, also its gradient by log length scale."""
        squared = squared_differences(X, X if Y is None else Y, self.categorical)
        # scikit-learn turns a single length scale into a plain number.
        inverse = np.atleast_1d(self.length_scales) ** -2.0
        scaled = math.sqrt(5) * np.sqrt(squared @ inverse)
        decay = np.exp(-scaled)
        values = (1 + scaled + scaled**2 / 3) * decay
        if not eval_gradient:
            return values
        squared *= inverse
        squared *= (5 / 3 * (1 + scaled) * decay)[:, :, None]
        return values, squared


class Surrogate:
    """Surrogate of utility by features, learned from observations; it works on logits.

    Args:
        rows: features, [observations, columns]; at least one observation.
        utilities: shares from 0 to 1, [observations].
        variances: by how much each is less certain than a finished training, in squared logits,
            [observations].
        categorical: which columns hold codes, [columns].
    """

    def __init__(
        self,
        rows: np.ndarray,
        utilities: np.ndarray,
        variances: np.ndarray,
        categorical: np.ndarray,
    ) -> None:
        logits = to_logits(utilities)
        logits = np.maximum(logits, logits.max() - _DEPTH)
        self._mean = float(logits.mean())
        worth = len(logits) + _SPREAD_WORTH
        squares = len(logits) * float(logits.var()) + _SPREAD_WORTH * _SPREAD**2
        self._scale = math.sqrt(squares / worth)
        self._rows = rows
        self._targets = (logits - self._mean) / self._scale
        self._variances = 1e-6 + variances / self._scale**2
        newest = slice(max(0, len(rows) - _FITTED_ON), None)
        fitted = GaussianProcessRegressor(
            _prior_kernel(categorical), alpha=self._variances[newest], optimizer=_most_probable
        ).fit(rows[newest], self._targets[newest])
        self._kernel = fitted.kernel_
        self._condition()

    def believing(self, rows: np.ndarray) -> "Surrogate":
        """Return a surrogate that takes this one's expectations at `rows` as observed.

        Source: the kriging believer of Ginsbourger, Le Riche and Carraro 2010, Kriging is
        well-suited to parallelize optimization.
        """
        other = copy(self)
        other._rows = np.concatenate([self._rows, rows])
        other._targets = np.concatenate([self._targets, self._process.predict(rows)])
        other._variances = np.concatenate([self._variances, np.full(len(rows), 1e-6)])
        other._condition()
        return other

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the expected utility at each row, [rows]."""
        return self._utilities(self._process.predict(rows))

    def quantiles(self, rows: np.ndarray) -> np.ndarray:
        """Return equally likely utilities at each row, ascending, [rows, 16].

        They are of the utility itself: the noise of one training is left out.
        """
        mean, deviation = self._process.predict(rows, return_std=True)
        noise = self._kernel.k2.noise_level
        deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-8))
        return self._utilities(mean[:, None] + deviation[:, None] * _QUANTILES)

    def _utilities(self, standard: np.ndarray) -> np.ndarray:
        """Return utilities from standardised logits, by the mean and scale of the observed ones."""
        return from_logits(standard * self._scale + self._mean)

    def _condition(self) -> None:
        process = GaussianProcessRegressor(self._kernel, alpha=self._variances, optimizer=None)
        self._process = process.fit(self._rows, self._targets)


def _prior_kernel(categorical: np.ndarray) -> Any:
    """Return the kernel at the most probable hyperparameters before any observation."""
    means, _ = _log_prior(len(categorical))
    scales = np.exp(means[1:-1])
    signal = ConstantKernel(1.0, _BOUNDS) * RecipeKernel(scales, categorical)
    return signal + WhiteKernel(math.exp(means[-1]), _BOUNDS)


def _log_prior(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means and deviations of the log hyperparameters: signal, length scales, noise.

    Source: Hvarfner, Hellsten and Nardi 2024, Vanilla Bayesian Optimization Performs Great in High
    Dimensions, arXiv:2402.02229: length scales that grow with the root of the dimension.
    """
    scale = math.sqrt(2) + 0.5 * math.log(columns) - 0.5 * math.log(10)
    means = np.array([0.0, *[scale] * columns, -4.0])
    deviations = np.array([0.5, *[1.0] * columns, 1.0])
    return means, deviations


def _most_probable(
    objective: Objective, start: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return hyperparameters near the most probable ones: a bounded number of steps of L-BFGS.

    scikit-learn's own optimizer maximises only the likelihood, which a few observations of many
    columns leave undecided.
    """
    means, deviations = _log_prior(len(start) - 2)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(theta)
        offset = (theta - means) / deviations
        return value + 0.5 * float(offset @ offset), gradient + offset / deviations

    limits = list(zip(means - 4 * deviations, means + 4 * deviations, strict=True))
    found = minimize(
        loss, start, jac=True, bounds=limits, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    return found.x, float(found.fun)
