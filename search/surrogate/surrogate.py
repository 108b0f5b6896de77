"""The surrogate: a Gaussian process that predicts the utility of untried recipes."""

from collections.abc import Callable
from copy import copy
from statistics import NormalDist

import numpy as np
from scipy.stats import norm

from search.surrogate.bound_scale import BoundScale
from search.surrogate.fitting import fit
from search.surrogate.gaussian_process import ConditionedProcess, GaussianProcess, Observations
from search.surrogate.utility_scale import UtilityScale

Scale = UtilityScale | BoundScale
MakeScale = Callable[[np.ndarray], Scale]

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])


class Surrogate:
    """Surrogate: a regression from features to utility, fitted to observations.

    Args:
        rows: features as those of `Features`, counts first, [observations, columns]; at least one
            observation.
        utilities: shares from 0 to 1, [observations].
        variances: the variance of each observation beyond that of a finished training, in squared
            logits, [observations].
        categorical: which columns hold codes, [columns].
        scale: makes the scale of the targets from the utilities.
    """

    def __init__(
        self,
        rows: np.ndarray,
        utilities: np.ndarray,
        variances: np.ndarray,
        categorical: np.ndarray,
        scale: MakeScale = UtilityScale,
    ) -> None:
        self._scale = scale(utilities)
        fitted_to = self._observations(rows, utilities, variances)
        self._process: GaussianProcess | ConditionedProcess = GaussianProcess(
            fit(fitted_to, categorical), fitted_to
        )

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

    def log_chances(self, rows: np.ndarray, utility: float) -> np.ndarray:
        """Return the log-probability that a training at each row reaches this utility, [rows].

        The noise of a single training is included.
        """
        means, variances = self._process.predict(rows)
        bound = float(self._scale.standard(np.array(utility)))
        found: np.ndarray = norm.logsf(bound, means, np.sqrt(variances + self._process.prior.noise))
        return found

    def joint(self, rows: np.ndarray) -> "JointPrediction":
        """Return the prediction for all rows together."""
        means, covariance = self._process.predict_together(rows)
        return JointPrediction(self._scale, means, covariance, self._process.prior.noise)

    def _observations(
        self, rows: np.ndarray, utilities: np.ndarray, variances: np.ndarray
    ) -> Observations:
        standard = self._scale.standard(utilities)
        return Observations(rows, standard, self._scale.variances(utilities, variances))

    def _with(self, observations: Observations) -> "Surrogate":
        other = copy(self)
        other._process = (
            self._process.and_on(observations)
            if isinstance(self._process, ConditionedProcess)
            else ConditionedProcess(self._process, observations)
        )
        return other


class JointPrediction:
    """The predicted utilities at some rows, of which some are believed as the others are chosen.

    Args:
        scale: the scale of the targets.
        means: the expected targets, [rows].
        covariance: the covariance of the noiseless targets, [rows, rows].
        noise: the variance of an observation around the noiseless target.
    """

    def __init__(
        self, scale: Scale, means: np.ndarray, covariance: np.ndarray, noise: float
    ) -> None:
        self._scale = scale
        self._means = means
        self._covariance = covariance
        self._noise = noise

    def quantiles(self) -> np.ndarray:
        """Return equally likely utilities at each row, ascending, [rows, 16]."""
        deviations = np.sqrt(np.maximum(np.diag(self._covariance), 0.0))
        return self._scale.utilities(self._means[:, None] + deviations[:, None] * _QUANTILES)

    def believe(self, place: int) -> None:
        """Treat the expected utility at a row as observed, as `Surrogate.believing` does."""
        shared = self._covariance[place]
        self._covariance = self._covariance - np.outer(shared, shared) / (
            shared[place] + self._noise
        )
