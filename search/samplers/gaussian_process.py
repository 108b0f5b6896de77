"""A Gaussian process of zero mean, with a known extra variance of each observation."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from search.samplers.kernel import RecipeKernel

# With more observations, the process is approximated by this many inducing rows.
MOST_INDUCING = 1000
# Variances below this one are rounding errors.
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class Observations:
    """Observed values.

    Attributes:
        rows: features, [observations, columns].
        targets: [observations].
        variances: the variance of each target beyond the noise, [observations].
    """

    rows: np.ndarray
    targets: np.ndarray
    variances: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: "Observations") -> "Observations":
        return Observations(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.targets, other.targets]),
            np.concatenate([self.variances, other.variances]),
        )


@dataclass(frozen=True)
class Prior:
    """The process before any observation.

    Attributes:
        kernel: the covariance of the noiseless values.
        noise: the variance of each observation around the noiseless value.
    """

    kernel: RecipeKernel
    noise: float


class GaussianProcess:
    """Gaussian process, conditioned on observations.

    Args:
        prior: the prior.
        observations: at least one.

    With more than `MOST_INDUCING` observations, it is an approximation by inducing rows, which uses
    every observation and takes a time linear in their number. The inducing rows are those that tell
    the most: each is the observation that is the most uncertain, given the ones before it.

    Source: Titsias 2009, Variational Learning of Inducing Variables in Sparse Gaussian Processes
    (the approximation); Burt, Rasmussen and van der Wilk 2020, Convergence of Sparse Variational
    Inference in Gaussian Processes Regression, arXiv:2008.00323 (the choice of the inducing rows).
    """

    def __init__(self, prior: Prior, observations: Observations) -> None:
        self._prior = prior
        if len(observations) <= MOST_INDUCING:
            self._condition(observations)
        else:
            self._condition_by_inducing(observations)

    def _condition(self, observations: Observations) -> None:
        self._rows = observations.rows
        covariance = self._prior.kernel(self._rows, self._rows)
        covariance[np.diag_indices_from(covariance)] += self._prior.noise + observations.variances
        self._precision = cho_solve(cho_factor(covariance, lower=True), np.eye(len(covariance)))
        self._weights = self._precision @ observations.targets

    def _condition_by_inducing(self, observations: Observations) -> None:
        chosen, root = pivoted_cholesky(self._prior.kernel, observations.rows, MOST_INDUCING)
        self._rows = observations.rows[chosen]
        scaled = root.T / (self._prior.noise + observations.variances)
        inverse = solve_triangular(root[chosen], np.eye(len(chosen)), lower=True)
        inner = cho_factor(np.eye(len(chosen)) + scaled @ root, lower=True)
        self._precision = inverse.T @ (inverse - cho_solve(inner, inverse))
        self._weights = inverse.T @ cho_solve(inner, scaled @ observations.targets)

    @property
    def noise(self) -> float:
        return self._prior.noise

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the noiseless value at each row, each [rows]."""
        shared = self._prior.kernel(rows, self._rows)
        explained = np.einsum("ij,ij->i", shared @ self._precision, shared)
        return shared @ self._weights, np.maximum(1 - explained, _LEAST_VARIANCE)

    def covariance(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariance of the noiseless values, [rows, others]."""
        kernel = self._prior.kernel
        explained = kernel(rows, self._rows) @ self._precision @ kernel(self._rows, others)
        left: np.ndarray = kernel(rows, others) - explained
        return left


class ConditionedProcess:
    """Gaussian process that is conditioned on a few further observations, without a new fit.

    Args:
        base: the process without them.
        observations: the further observations.
    """

    def __init__(self, base: GaussianProcess, observations: Observations) -> None:
        self._base = base
        self._observations = observations
        covariance = base.covariance(observations.rows, observations.rows)
        covariance[np.diag_indices_from(covariance)] += base.noise + observations.variances
        self._root = np.linalg.cholesky(covariance)
        residuals = observations.targets - base.predict(observations.rows)[0]
        self._weights = cho_solve((self._root, True), residuals)

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the noiseless value at each row, each [rows]."""
        means, variances = self._base.predict(rows)
        shared = self._base.covariance(self._observations.rows, rows)
        explained = (solve_triangular(self._root, shared, lower=True) ** 2).sum(axis=0)
        return (
            means + shared.T @ self._weights,
            np.maximum(variances - explained, _LEAST_VARIANCE),
        )


def pivoted_cholesky(
    kernel: RecipeKernel, rows: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that tell the most, and a root of the covariance that they explain.

    Args:
        kernel: the kernel.
        rows: features, [rows, columns].
        most: the maximum number of chosen rows.

    Returns:
        The places of the chosen rows, the most uncertain first, [chosen]; and the root,
        [rows, chosen], with root @ root.T as the explained covariance. It has fewer columns than
        `most` if fewer rows explain all of it.

    Source: Harbrecht, Peters and Schneider 2012, On the Low-Rank Approximation by the Pivoted
    Cholesky Decomposition.
    """
    left = np.ones(len(rows))
    root = np.zeros((len(rows), most))
    chosen: list[int] = []
    for column in range(most):
        place = int(left.argmax())
        if left[place] < _LEAST_VARIANCE:
            break
        row = kernel(rows[place : place + 1], rows)[0]
        row -= root[:, :column] @ root[place, :column]
        root[:, column] = row / np.sqrt(left[place])
        left -= root[:, column] ** 2
        left[place] = 0.0
        chosen.append(place)
    return np.array(chosen), root[:, : len(chosen)]
