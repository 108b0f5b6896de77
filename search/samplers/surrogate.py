"""The surrogate: a Gaussian process that predicts the utility of untried recipes."""

from copy import copy
from statistics import NormalDist

import numpy as np

from search.samplers.fitting import fit
from search.samplers.gaussian_process import ConditionedProcess, GaussianProcess, Observations
from search.samplers.utility_scale import UtilityScale

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])


class Surrogate:
    """Surrogate: a regression from features to utility, fitted to observations.

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
        self._scale = UtilityScale(utilities)
        fitted_to = self._observations(rows, utilities, variances)
        self._fitted = GaussianProcess(fit(fitted_to, categorical), fitted_to)
        self._later: Observations | None = None
        self._process: GaussianProcess | ConditionedProcess = self._fitted

    def learning(
        self, rows: np.ndarray, utilities: np.ndarray, variances: np.ndarray
    ) -> "Surrogate":
        """Return a surrogate that knows further observations, with the same hyperparameters."""
        return self._with(self._observations(rows, utilities, variances))

    def believing(self, rows: np.ndarray) -> "Surrogate":
        """Return a surrogate that treats this one's predictions at `rows` as observations.

        Source: the kriging believer of Ginsbourger, Le Riche and Carraro 2010, Kriging is
        well-suited to parallelize optimization.
        """
        means, _ = self._process.predict(rows)
        return self._with(Observations(rows, means, np.zeros(len(rows))))

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the median utility at each row, [rows]."""
        return self._scale.utilities(self._process.predict(rows)[0])

    def quantiles(self, rows: np.ndarray) -> np.ndarray:
        """Return equally likely utilities at each row, ascending, [rows, 16].

        The noise of a single training is not included.
        """
        means, variances = self._process.predict(rows)
        return self._scale.utilities(means[:, None] + np.sqrt(variances)[:, None] * _QUANTILES)

    def _observations(
        self, rows: np.ndarray, utilities: np.ndarray, variances: np.ndarray
    ) -> Observations:
        standard = self._scale.standard(utilities)
        return Observations(rows, standard, variances / self._scale.deviation**2)

    def _with(self, observations: Observations) -> "Surrogate":
        other = copy(self)
        other._later = observations if self._later is None else self._later + observations
        other._process = ConditionedProcess(self._fitted, other._later)
        return other
