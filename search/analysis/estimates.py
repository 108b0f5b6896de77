"""Estimates of the students' true quality, corrected for the luck of the best measured one.

A search measures its students on validation images. These are few, so a student that is measured
as the best is partly lucky: its true quality is lower ("the winner's curse"). The luck of one
student is judged by all others: what similar recipes reached, and how far measurements scatter.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from search.objectives.goal import Goal
from search.objectives.metric import DEVIATIONS_95, Metric
from search.records import Measurement, Scalar, TrialRecord

if TYPE_CHECKING:
    from search.surrogate.features import Features
    from spaces.distributions import Distribution

# With more students, the best ones and a random part of the others judge all of them: the time
# grows with the third power of their number.
_MOST_JUDGES, _BEST_JUDGES = 800, 400
# The prior standard deviation of students' logits, and the number of students that it counts as.
_PRIOR_SPREAD, _PRIOR_WORTH = 0.3, 3
# Students are poor if they are below the median by more than this many spreads of the better half.
_POOR = 2.0
# At least this share of the variance of measured logits is a difference between students.
_LEAST_TRUE_SHARE = 0.05
# Numbers that span more than this factor are compared on a log scale.
_WIDE = 8.0


@dataclass(frozen=True, kw_only=True)
class QualityEstimate:
    """The estimate of a student's true quality, in the metric's unit.

    Attributes:
        value: the median.
        low: the lower end of the 95% interval.
        high: its upper end.
    """

    value: float
    low: float
    high: float

    @property
    def quantiles(self) -> dict[str, float]:
        """The three values, each with the suffix of its name in tables."""
        return {"": self.value, "_low": self.low, "_high": self.high}

    @property
    def deviation(self) -> float:
        """The standard deviation, in the metric's unit."""
        return (self.high - self.low) / (2 * DEVIATIONS_95)


def estimates(trials: Iterable[TrialRecord], goal: Goal) -> dict[int, QualityEstimate]:
    """Return the estimate of each student whose metric and costs were measured, by trial number.

    A Gaussian process over the recipes explains the measured values: by what similar recipes reach,
    by differences between trainings, and by the sampling error of the validation images. The
    estimate is the value without its share of that sampling error. Students of one training count
    as equally lucky, because they err on the same images.

    Args:
        trials: the trials of one study. A refit has no value on validation images, so it has no
            estimate.
        goal: the study's goal.

    Source: the posterior of a latent value under known measurement errors, Rasmussen and Williams
    2006, Gaussian Processes for Machine Learning, section 2.2; the winner's curse of a search,
    Andrews, Kitagawa and McCloskey 2024, Inference on Winners.
    """
    metric = goal.metric
    students = [
        (trial, found)
        for trial in trials
        if trial.outcome is not None
        and trial.outcome.cost is not None
        and (found := trial.outcome.quality.get(metric.name)) is not None
    ]
    measured = [found for _, found in students]
    utilities = np.array([metric.utility(found.value) for found in measured])
    images = _images_worth(measured, metric)
    if images is None:
        return {
            trial.number: QualityEstimate(value=found.value, low=found.value, high=found.value)
            for trial, found in students
        }
    records = [trial for trial, _ in students]
    quantiles = _without_errors(_rows(records), *_logits(utilities, images), _families(records))
    return {
        trial.number: _estimate(metric, *ends)
        for trial, ends in zip(records, quantiles.tolist(), strict=True)
    }


def _estimate(metric: Metric, low: float, middle: float, high: float) -> QualityEstimate:
    ends = sorted((metric.value_of(low), metric.value_of(high)))
    return QualityEstimate(value=metric.value_of(middle), low=ends[0], high=ends[1])


def _images_worth(measured: Sequence[Measurement], metric: Metric) -> float | None:
    """Return on how many images a share would have the same standard errors; None without any."""
    found = []
    for one in measured:
        utility, error = metric.utility(one.value), metric.spread_of(one.error or 0.0)
        if 0 < utility < 1 and error > 0:
            found.append(utility * (1 - utility) / error**2)
    return median(found) if found else None


def _logits(utilities: np.ndarray, images: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-odds of shares that were measured on so many images, and their errors.

    A share at the end of the scale has a finite logit, as if half an image more were wrong (or
    right), and an error, as if one more image were right and one more wrong.
    """
    edge = 0.5 / (images + 1)
    inside = np.clip(utilities, edge, 1 - edge)
    shrunk = (utilities * images + 1) / (images + 2)
    return np.log(inside / (1 - inside)), 1 / np.sqrt(images * shrunk * (1 - shrunk))


def _without_errors(
    features: "tuple[np.ndarray, np.ndarray]",
    logits: np.ndarray,
    errors: np.ndarray,
    families: np.ndarray,
) -> np.ndarray:
    """Return three quantiles of each true utility: 2.5%, 50% and 97.5%, [students, 3].

    Args:
        features: rows, [students, columns], and which columns hold codes, [columns].
        logits: the log-odds of the measured utilities, [students].
        errors: their standard errors, [students].
        families: the number of each student's training, [students].
    """
    # SciPy takes a fifth of a second, and most commands need no estimates.
    from scipy.linalg import cho_factor, cho_solve

    from search.surrogate.fitting import fit
    from search.surrogate.gaussian_process import Observations
    from search.surrogate.logit_scale import from_logits

    rows, categorical = features
    least, middle, spread = _scale(logits, errors)
    is_poor = logits < least
    targets = (np.maximum(logits, least) - middle) / spread
    deviations = errors / spread
    variances = deviations**2
    judges = _judges(logits)
    observed = Observations(rows[judges], targets[judges], variances[judges])
    prior = fit(observed, categorical)
    is_shared = families[judges, None] == families[judges]
    sampling = np.where(is_shared, np.outer(deviations[judges], deviations[judges]), 0.0)
    covariance = prior.kernel(observed.rows, observed.rows) + sampling
    covariance[np.diag_indices(len(judges))] += prior.noise
    factor = cho_factor(covariance, lower=True)
    weights = cho_solve(factor, observed.targets)

    # The others are between their own measured value and what the judges predict for them.
    shared = prior.kernel(rows, observed.rows)
    predicted = shared @ weights
    explained = np.einsum("ij,ji->i", shared, cho_solve(factor, shared.T))
    doubt = np.maximum(prior.kernel.variances(rows) - explained, 0.0) + prior.noise
    share = doubt / (doubt + variances)
    means = predicted + share * (targets - predicted)
    left = share * variances

    means[judges] = observed.targets - sampling @ weights
    left[judges] = np.diag(sampling) - np.einsum("ij,ji->i", sampling, cho_solve(factor, sampling))
    means = np.where(is_poor, logits, middle + spread * means)
    reach = DEVIATIONS_95 * np.where(is_poor, errors, spread * np.sqrt(np.maximum(left, 0.0)))
    return from_logits(np.column_stack([means - reach, means, means + reach]))


def _scale(logits: np.ndarray, errors: np.ndarray) -> tuple[float, float, float]:
    """Return the least logit that counts, and the middle and the spread of the true logits.

    The least one is below the median by twice the better half's spread. How much worse poor
    students are would only hide what distinguishes the good ones. So they all count as the least
    logit, and their own estimate is the measured value.
    """
    median_logit = float(np.median(logits))
    better = logits[logits >= median_logit] - median_logit
    reach = _POOR * math.sqrt(
        (better @ better + _PRIOR_WORTH * _PRIOR_SPREAD**2) / (len(better) + _PRIOR_WORTH)
    )
    seen = np.maximum(logits, median_logit - reach)
    away = seen - seen.mean()
    variance = (away @ away + _PRIOR_WORTH * _PRIOR_SPREAD**2) / (len(away) + _PRIOR_WORTH)
    true = max(variance - float((errors**2).mean()), _LEAST_TRUE_SHARE * variance)
    return median_logit - reach, float(seen.mean()), math.sqrt(true)


def _judges(logits: np.ndarray) -> np.ndarray:
    """Return the places of the students that judge all others."""
    if len(logits) <= _MOST_JUDGES:
        return np.arange(len(logits))
    ordered = np.argsort(-logits, kind="stable")
    others = ordered[_BEST_JUDGES:]
    draw = np.random.default_rng(0)
    some = draw.choice(others, _MOST_JUDGES - _BEST_JUDGES, replace=False)
    return np.concatenate([ordered[:_BEST_JUDGES], some])


def _families(trials: Sequence[TrialRecord]) -> np.ndarray:
    return np.array([trial.number if trial.parent is None else trial.parent for trial in trials])


def _rows(trials: Sequence[TrialRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of the trials, and which columns hold codes."""
    features = _features([trial.params for trial in trials])
    rows = [
        features.row(trial.params, None if trial.outcome is None else trial.outcome.cost)
        for trial in trials
    ]
    return np.stack(rows), features.categorical


def _features(recipes: Sequence[Mapping[str, Scalar]]) -> "Features":
    """Return features over the values that the recipes have: their space may be unknown here."""
    from search.surrogate.features import Features

    values: dict[str, set[Scalar]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            values.setdefault(name, set()).add(value)
    return Features({name: _range(found) for name, found in sorted(values.items())})


def _range(values: set[Scalar]) -> "Distribution":
    from spaces.distributions import FloatRange, OneOf

    if any(isinstance(value, bool | str) for value in values):
        return OneOf(tuple(sorted(values, key=str)))
    low, high = float(min(values)), float(max(values))
    return FloatRange(low, high, log=low > 0 and high / low > _WIDE)
