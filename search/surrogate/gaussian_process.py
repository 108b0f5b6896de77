"""A Gaussian process of zero mean, with a known extra variance of each observation."""

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from search.surrogate.kernel import RecipeKernel

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
        self.prior = prior
        if len(observations) <= MOST_INDUCING:
            self._condition(observations)
        else:
            self._condition_by_inducing(observations)

    def _condition(self, observations: Observations) -> None:
        self._rows = observations.rows
        covariance = self.prior.kernel(self._rows, self._rows)
        factor = cho_factor(_with_noise(covariance, self.prior, observations), lower=True)
        self._precision = cho_solve(factor, np.eye(len(covariance)))
        self._weights = self._precision @ observations.targets

    def _condition_by_inducing(self, observations: Observations) -> None:
        chosen, root = pivoted_cholesky(self.prior.kernel, observations.rows, MOST_INDUCING)
        self._rows = observations.rows[chosen]
        scaled = root.T / (self.prior.noise + observations.variances)
        inverse = solve_triangular(root[chosen], np.eye(len(chosen)), lower=True)
        inner = cho_factor(np.eye(len(chosen)) + scaled @ root, lower=True)
        self._precision = inverse.T @ (inverse - cho_solve(inner, inverse))
        self._weights = inverse.T @ cho_solve(inner, scaled @ observations.targets)

    def shared(self, rows: np.ndarray) -> np.ndarray:
        """Return the prior covariance of the inducing rows and these rows, [inducing, rows]."""
        return self.prior.kernel(self._rows, rows)

    def explained(self, shared: np.ndarray) -> np.ndarray:
        """Return `shared`, multiplied by what the observations explain, [inducing, rows]."""
        product: np.ndarray = self._precision @ shared
        return product

    def mean(self, shared: np.ndarray) -> np.ndarray:
        """Return the mean of the noiseless value at each row, [rows]."""
        found: np.ndarray = self._weights @ shared
        return found

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the noiseless value at each row, each [rows]."""
        return self.predict_from(rows, self.shared(rows))

    def predict_from(self, rows: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Do the same, given the prior covariance of the inducing rows and the rows."""
        explained = np.einsum("ij,ij->j", shared, self.explained(shared))
        left = self.prior.kernel.variances(rows) - explained
        return self.mean(shared), np.maximum(left, _LEAST_VARIANCE)

    def predict_together(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means, [rows], and covariance, [rows, rows], of the noiseless values."""
        shared = self.shared(rows)
        covariance = self.prior.kernel(rows, rows) - shared.T @ self.explained(shared)
        return self.mean(shared), covariance


class ConditionedProcess:
    """Gaussian process that is conditioned on further observations, without a new fit.

    Args:
        base: the process without them.
        observations: the further observations.
    """

    def __init__(self, base: GaussianProcess, observations: Observations) -> None:
        self.prior = base.prior
        self._base = base
        self._rows = observations.rows
        shared = base.shared(self._rows)
        self._explained = base.explained(shared)
        self._residuals = observations.targets - base.mean(shared)
        covariance = self._covariance(self._rows, shared)
        self._root = np.linalg.cholesky(_with_noise(covariance, base.prior, observations))

    def and_on(self, observations: Observations) -> "ConditionedProcess":
        """Return the process that is conditioned on these observations too.

        Compared with a new process, this takes a time that is quadratic and not cubic in the number
        of the earlier observations.
        """
        base, rows = self._base, observations.rows
        shared = base.shared(rows)
        explained = base.explained(shared)
        lower = solve_triangular(self._root, self._covariance(rows, shared), lower=True)
        left = base.prior.kernel(rows, rows) - shared.T @ explained - lower.T @ lower
        root = np.linalg.cholesky(_with_noise(left, base.prior, observations))
        residuals = observations.targets - base.mean(shared)
        other = copy(self)
        other._rows = np.concatenate([self._rows, rows])
        other._explained = np.concatenate([self._explained, explained], axis=1)
        other._residuals = np.concatenate([self._residuals, residuals])
        other._root = np.block([[self._root, np.zeros_like(lower)], [lower.T, root]])
        return other

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the noiseless value at each row, each [rows]."""
        shared = self._base.shared(rows)
        means, variances = self._base.predict_from(rows, shared)
        more, explained = self._learned(rows, shared)
        left = variances - (explained**2).sum(axis=0)
        return means + more, np.maximum(left, _LEAST_VARIANCE)

    def predict_together(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means, [rows], and covariance, [rows, rows], of the noiseless values."""
        means, covariance = self._base.predict_together(rows)
        more, explained = self._learned(rows, self._base.shared(rows))
        return means + more, covariance - explained.T @ explained

    def _learned(self, rows: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the further observations add to the means, and a root of what they explain.

        Returns:
            [rows] and [observations, rows].
        """
        covariance = self._covariance(rows, shared)
        columns = np.column_stack([covariance, self._residuals])
        solved = solve_triangular(self._root, columns, lower=True)
        return solved[:, -1] @ solved[:, :-1], solved[:, :-1]

    def _covariance(self, rows: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """Return the base's covariance of the further observations and these rows."""
        left: np.ndarray = self._base.prior.kernel(self._rows, rows) - self._explained.T @ shared
        return left


def _with_noise(covariance: np.ndarray, prior: Prior, observations: Observations) -> np.ndarray:
    """Return the covariance of the observations, given that of their noiseless values."""
    return covariance + np.diag(prior.noise + observations.variances)


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
    left = kernel.variances(rows)
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
