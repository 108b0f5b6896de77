"""The Gaussian process, its kernel and the fit, against what can be worked out otherwise."""

import math
from dataclasses import replace

import numpy as np
import pytest

from search.surrogate import gaussian_process
from search.surrogate.features import squared_differences
from search.surrogate.fitting import _negative_log_likelihood, fit
from search.surrogate.gaussian_process import (
    ConditionedProcess,
    GaussianProcess,
    Observations,
    Prior,
    pivoted_cholesky,
)
from search.surrogate.kernel import RecipeKernel, matern

CODES = np.array([False, False, True])
KERNEL = RecipeKernel(
    np.array([0.5, 1.0, 2.0]), CODES, slopes=np.array([1.0, 0.5, 0.0]), center=np.full(3, 0.3)
)
PRIOR = Prior(KERNEL, noise=0.01)


def _rows(count: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.column_stack([draw.random((count, 2)), draw.integers(0, 3, count)])


def _observations(count: int, seed: int = 0, *, noise: float = 0.1) -> Observations:
    rows = _rows(count, seed)
    draw = np.random.default_rng(seed)
    targets = np.sin(6 * rows[:, 0]) + (rows[:, 2] == 1) + noise * draw.standard_normal(count)
    return Observations(rows, targets - targets.mean(), draw.uniform(0, 0.1, count))


def _part(observations: Observations, part: slice) -> Observations:
    return Observations(
        observations.rows[part], observations.targets[part], observations.variances[part]
    )


def test_codes_are_equal_or_not_and_never_near() -> None:
    kernel = RecipeKernel(np.array([1.0]), np.array([True]))
    values = kernel(np.array([[0.0]]), np.array([[0.0], [1.0], [7.0]]))
    assert values[0, 1] == values[0, 2] < values[0, 0] == 1


def test_the_kernel_is_that_of_the_squared_differences_of_its_columns() -> None:
    rows, others = _rows(5), _rows(4, seed=1)
    squared = squared_differences(rows, others, CODES) @ PRIOR.kernel.length_scales**-2.0
    near = replace(KERNEL, slopes=0.0)
    np.testing.assert_allclose(near(rows, others), matern(squared)[0])
    away = [(one - KERNEL.center) * KERNEL.slopes for one in (rows, others)]
    np.testing.assert_allclose(KERNEL(rows, others) - near(rows, others), away[0] @ away[1].T)
    (value,), _ = matern(np.array([1.0]))
    assert value == pytest.approx((1 + math.sqrt(5) + 5 / 3) * math.exp(-math.sqrt(5)))


def test_a_prediction_is_the_normal_distribution_given_the_observations() -> None:
    known, rows = _observations(12), _rows(3, seed=1)
    kernel = PRIOR.kernel
    covariance = kernel(known.rows, known.rows) + np.diag(PRIOR.noise + known.variances)
    solved = np.linalg.solve(covariance, kernel(known.rows, rows))
    process = GaussianProcess(PRIOR, known)
    means, variances = process.predict(rows)
    np.testing.assert_allclose(means, solved.T @ known.targets)
    left = kernel(rows, rows) - kernel(rows, known.rows) @ solved
    np.testing.assert_allclose(variances, np.diag(left))
    np.testing.assert_allclose(process.predict_together(rows)[1], left, atol=1e-12)


def test_what_is_learned_later_counts_as_if_it_had_been_known() -> None:
    known, rows = _observations(30), _rows(10, seed=1)
    early = GaussianProcess(PRIOR, _part(known, slice(20)))
    later = ConditionedProcess(early, _part(known, slice(20, None)))
    stepwise = ConditionedProcess(early, _part(known, slice(20, 24)))
    stepwise = stepwise.and_on(_part(known, slice(24, None)))
    whole = GaussianProcess(PRIOR, known)
    for process in (later, stepwise):
        np.testing.assert_allclose(process.predict(rows), whole.predict(rows))
        for found, wanted in zip(
            process.predict_together(rows), whole.predict_together(rows), strict=True
        ):
            np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize(("inducing", "tolerance"), [(99, 1e-3), (60, 0.03)])
def test_inducing_rows_come_near_to_all_observations(
    monkeypatch: pytest.MonkeyPatch, inducing: int, tolerance: float
) -> None:
    known, rows = _observations(100), _rows(50, seed=1)
    exact = GaussianProcess(PRIOR, known).predict(rows)
    monkeypatch.setattr(gaussian_process, "MOST_INDUCING", inducing)
    for found, wanted in zip(GaussianProcess(PRIOR, known).predict(rows), exact, strict=True):
        np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_every_observation_counts_beyond_the_inducing_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten times the same rows are a tenth of the noise, though their rows tell nothing more."""
    kernel = RecipeKernel(np.array([1.0]), np.array([False]))
    rows = 100.0 * np.arange(15)[:, None]
    once = Observations(rows, np.zeros(15), np.zeros(15))
    often = Observations(np.tile(rows, (10, 1)), np.zeros(150), np.zeros(150))
    monkeypatch.setattr(gaussian_process, "MOST_INDUCING", 20)
    before, after = (
        GaussianProcess(Prior(kernel, noise=0.01), one).predict(rows)[1] for one in (once, often)
    )
    np.testing.assert_allclose(before / after, 10, rtol=0.02)


def test_the_rows_that_tell_the_most_come_first_and_copies_tell_nothing() -> None:
    rows = np.array([[0.0], [0.001], [1.0], [0.0], [0.5]])
    kernel = RecipeKernel(np.array([0.3]), np.array([False]))
    chosen, root = pivoted_cholesky(kernel, rows, 5)
    assert set(chosen[:3]) == {0, 2, 4}
    assert len(chosen) == 4
    np.testing.assert_allclose(root @ root.T, kernel(rows, rows), atol=1e-6)


def test_the_likelihoods_gradient_is_that_of_finite_differences() -> None:
    known = _observations(20)
    squared = squared_differences(known.rows, known.rows, CODES).transpose(2, 0, 1).reshape(3, -1)
    logs = np.array([-0.5, 0.2, 0.4, -3.0])
    trend = KERNEL.trend(known.rows, known.rows)
    value, gradient = _negative_log_likelihood(logs, squared, trend, known)
    for place, step in enumerate(1e-6 * np.eye(4)):
        moved, _ = _negative_log_likelihood(logs + step, squared, trend, known)
        assert (moved - value) / 1e-6 == pytest.approx(gradient[place], abs=1e-3)


def test_a_column_that_explains_nothing_gets_a_long_scale() -> None:
    used, unused, _ = fit(_observations(60), CODES).kernel.length_scales
    assert used < 1 < 3 < unused


def test_without_evidence_length_scales_are_between_mode_and_median_of_their_prior() -> None:
    # exp(√2) · √columns is the median of the paper's prior, e^-3 of that the mode.
    nothing = Observations(np.zeros((1, 9)), np.zeros(1), np.zeros(1))
    fitted = fit(nothing, np.zeros(9, bool))
    np.testing.assert_allclose(fitted.kernel.length_scales, 3 * math.exp(math.sqrt(2) - 1.5))


def test_larger_students_than_all_known_ones_are_expected_to_be_better_and_less_certainly() -> None:
    counts = np.linspace(4.0, 5.0, 12)
    rows = np.column_stack([counts, counts, np.zeros(12)])
    known = Observations(rows, 2 * (counts - counts.mean()), np.zeros(12))
    process = GaussianProcess(fit(known, CODES), known)
    means, variances = process.predict(np.array([[5.0, 5.0, 0.0], [6.0, 6.0, 0.0]]))
    assert means[1] > means[0] + 1
    assert variances[1] > variances[0]


def test_the_variance_of_a_row_is_its_covariance_with_itself() -> None:
    rows = _rows(5)
    np.testing.assert_allclose(KERNEL.variances(rows), np.diag(KERNEL(rows, rows)))


def test_the_fit_finds_the_noise() -> None:
    little, much = (fit(_observations(80, noise=noise), CODES).noise for noise in (0.03, 0.4))
    assert little < 0.02 < 0.05 < much
