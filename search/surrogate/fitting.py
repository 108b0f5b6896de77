"""The fit of the surrogate's hyperparameters: length scales and noise."""

import math
from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from search.surrogate.features import COUNTS, squared_differences
from search.surrogate.gaussian_process import Observations, Prior
from search.surrogate.kernel import RecipeKernel, matern

# Hyperparameters are fitted to at most this many observations, drawn at random.
_MOST_FITTED = 300
# The mode of the logarithms' prior, in squared scales below its location. 0 would be the median of
# the length scales, 1 the mode of their own density. In benchmarks/samplers, 0 is worse on the
# made-up problem and 1 on NAS-Bench-201; one half is near the better of both on each.
_BELOW = 0.5
# The prior standard deviation of the trend, in targets for each tenfold count.
_SLOPE = 1.0
# The fit stays within so many scales of the prior's mode.
_REACH = 4.0


def fit(observations: Observations, categorical: np.ndarray) -> Prior:
    """Return the most probable hyperparameters, given standardised observations.

    Each length scale has a log-normal prior with the location √2 + ½ log columns and the scale √3,
    the noise one with the location -4 and the scale 1, and the variance around the trend is 1, as
    in the source. With few observations of many columns, the likelihood alone would not determine
    the hyperparameters. The source maximises the density of the length scales, which is highest
    where recipes hardly tell anything about each other; here its mode is between that and the
    median.

    The process has a trend along the counts of parameters and MACs, because larger networks tend to
    be better: without it, students that are larger than all known ones would be predicted like the
    average one, and never tried.

    Args:
        observations: targets with a mean of about 0 and a variance of about 1; at least one.
        categorical: which columns hold codes, [columns]. The first `COUNTS` columns are counts, as
            those of `Features` are, unless they hold codes.

    Source: Hvarfner, Hellsten and Nardi 2024, Vanilla Bayesian Optimization Performs Great in High
    Dimensions, arXiv:2402.02229.
    """
    columns = len(categorical)
    location = np.array([math.sqrt(2) + 0.5 * math.log(columns)] * columns + [-4.0])
    scale = np.array([math.sqrt(3)] * columns + [1.0])
    mode = location - _BELOW * scale**2
    some = _some(observations)
    is_count = (np.arange(columns) < COUNTS) & ~categorical
    base = RecipeKernel(
        np.ones(columns), categorical, _SLOPE * is_count, observations.rows.mean(axis=0)
    )
    trend = base.trend(some.rows, some.rows)
    squared = squared_differences(some.rows, some.rows, categorical)
    squared = np.ascontiguousarray(squared.transpose(2, 0, 1)).reshape(columns, -1)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _negative_log_likelihood(logs, squared, trend, some)
        away = (logs - mode) / scale
        return value + float(0.5 * away @ away), gradient + away / scale

    found = minimize(
        loss,
        mode,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(mode - _REACH * scale, mode + _REACH * scale, strict=True)),
    ).x
    return Prior(replace(base, length_scales=np.exp(found[:-1])), math.exp(found[-1]))


def _some(observations: Observations) -> Observations:
    """Return all observations, or as many of them as the fit uses."""
    if len(observations) <= _MOST_FITTED:
        return observations
    draw = np.random.default_rng(len(observations))
    some = draw.choice(len(observations), _MOST_FITTED, replace=False)
    return Observations(
        observations.rows[some], observations.targets[some], observations.variances[some]
    )


def _negative_log_likelihood(
    logs: np.ndarray, squared: np.ndarray, trend: np.ndarray, observations: Observations
) -> tuple[float, np.ndarray]:
    """Return the negative log likelihood without its constant, and its gradient.

    Args:
        logs: the logarithms of the length scales and of the noise, [columns + 1].
        squared: squared differences of the rows, [columns, rows · rows].
        trend: the trend's part of their covariance, [rows, rows].
        observations: the observations.

    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, section 5.4.1.
    """
    count = len(observations)
    inverse_squares = np.exp(-2 * logs[:-1])
    covariance, slope = matern((inverse_squares @ squared).reshape(count, count))
    noise = math.exp(logs[-1])
    covariance += trend
    covariance[np.diag_indices(count)] += noise + observations.variances
    factor = cho_factor(covariance, lower=True)
    precision = cho_solve(factor, np.eye(count))
    weights = precision @ observations.targets
    value = 0.5 * observations.targets @ weights + np.log(np.diag(factor[0])).sum()
    outer = 0.5 * (precision - np.outer(weights, weights))
    gradient = inverse_squares * (squared @ (outer * slope).ravel())
    return float(value), np.append(gradient, noise * np.trace(outer))
