"""The surrogate: a Gaussian process that predicts the utility of untried recipes."""

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

# Utilities are clipped to at most this many logits below the best, so that a training that learned
# nothing does not dominate the fit.
_DEPTH = 5.0
# The prior standard deviation of recipes' logits, and the number of observations that it counts as:
# the first observations come from few trainings, and are too similar.
_SPREAD, _SPREAD_WORTH = 0.3, 3
# The maximum number of observations and of steps for fitting hyperparameters.
_FITTED_ON = 100
_STEPS = 15
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])
# The prior keeps the optimum far from these bounds, so that scikit-learn does not warn.
_BOUNDS = (1e-6, 1e6)

# A function that returns a value to minimise and its gradient, as scikit-learn passes it.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


class RecipeKernel(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """Matérn kernel (of order 5/2) with a length scale for each column, over numbers and codes.

    Equal codes have the distance 0, different codes the distance 1. A choice among many names
    therefore has one length scale, not one for each name.

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
        """Return the kernel between rows, and optionally its gradient by log length scale."""
        squared = squared_differences(X, X if Y is None else Y, self.categorical)
        # scikit-learn passes a single length scale as a scalar.
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
    """Surrogate: a regression from features to utility, fitted to observations on the logit scale.

    Args:
        rows: features, [observations, columns]; at least one observation.
        utilities: shares from 0 to 1, [observations].
        variances: the variance of each observation beyond that of a finished training, in squared
            logits, [observations].
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
        """Return a surrogate that treats this one's predictions at `rows` as observations.

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

        The noise of a single training is not included.
        """
        mean, deviation = self._process.predict(rows, return_std=True)
        noise = self._kernel.k2.noise_level
        deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-8))
        return self._utilities(mean[:, None] + deviation[:, None] * _QUANTILES)

    def _utilities(self, standard: np.ndarray) -> np.ndarray:
        """Convert standardised logits to utilities."""
        return from_logits(standard * self._scale + self._mean)

    def _condition(self) -> None:
        process = GaussianProcessRegressor(self._kernel, alpha=self._variances, optimizer=None)
        self._process = process.fit(self._rows, self._targets)


def _prior_kernel(categorical: np.ndarray) -> Any:
    """Return the kernel at the mode of the hyperparameters' prior."""
    means, _ = _log_prior(len(categorical))
    scales = np.exp(means[1:-1])
    signal = ConstantKernel(1.0, _BOUNDS) * RecipeKernel(scales, categorical)
    return signal + WhiteKernel(math.exp(means[-1]), _BOUNDS)


def _log_prior(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prior means and deviations of the log hyperparameters: signal, length scales, noise.

    Length scales grow with the root of the number of columns, as Hvarfner, Hellsten and Nardi 2024
    propose (Vanilla Bayesian Optimization Performs Great in High Dimensions, arXiv:2402.02229).
    Their prior of a length scale is a log-normal with the mean √2 + ½ log columns and the deviation
    √3. This one is shorter by the factor √10, and narrower: both gain here, as docs/samplers.md
    shows. The prior of the noise is theirs. The prior of the signal is our own; they fix it to 1.
    """
    scale = math.sqrt(2) + 0.5 * math.log(columns) - 0.5 * math.log(10)
    means = np.array([0.0, *[scale] * columns, -4.0])
    deviations = np.array([0.5, *[1.0] * columns, 1.0])
    return means, deviations


def _most_probable(
    objective: Objective, start: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return approximate maximum a posteriori hyperparameters, after a few steps of L-BFGS.

    scikit-learn's own optimizer maximises only the likelihood. With few observations of many
    columns, the likelihood alone does not determine the hyperparameters.
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
