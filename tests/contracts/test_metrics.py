"""What every metric must keep."""

import numpy as np
import pytest

from search.objectives.metric import Metric
from search.objectives.metrics import metrics
from search.objectives.predictions import Predictions

CLASSES = 10

ALL = pytest.mark.parametrize("metric", metrics().values(), ids=list(metrics()))


def _predictions(*, right: float, seed: int = 0, images: int = 300) -> Predictions:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, images)
    away = np.where(draw.random(images) < right, 0, draw.integers(1, CLASSES, images))
    return Predictions(
        labels=labels,
        classes=(labels + away) % CLASSES,
        confidence=np.full(images, 1.0, np.float32),
        ranks=away,
    )


@ALL
def test_has_names_that_can_stand_in_a_study_file_and_a_table(metric: Metric) -> None:
    assert metric.name.isidentifier()
    assert metric.label
    assert metric.description


@ALL
def test_perfect_predictions_have_the_best_value_and_no_error(metric: Metric) -> None:
    found = _predictions(right=1.0)
    assert metric.compute(found, found.labels) == pytest.approx(metric.best)
    assert metric.standard_error(found, found.labels) == pytest.approx(0.0)


@ALL
def test_values_lie_between_the_worst_and_the_best(metric: Metric) -> None:
    for right in (0.0, 0.4, 0.9):
        found = _predictions(right=right)
        value = metric.compute(found, found.labels)
        assert min(metric.best, metric.worst) <= value <= max(metric.best, metric.worst)
        assert isinstance(value, float)


@ALL
def test_better_predictions_have_more_utility(metric: Metric) -> None:
    utilities = [
        metric.utility(metric.compute(found, found.labels))
        for found in (_predictions(right=right) for right in (0.2, 0.5, 0.8))
    ]
    assert utilities == sorted(utilities)
    assert 0 <= utilities[0] < utilities[-1] <= 1


@ALL
def test_a_utility_is_the_utility_of_its_value(metric: Metric) -> None:
    assert metric.utility(metric.value_of(0.25)) == pytest.approx(0.25)


@ALL
def test_the_standard_error_is_the_spread_over_other_images(metric: Metric) -> None:
    found = [_predictions(right=0.7, seed=seed) for seed in range(200)]
    values = [metric.compute(one, one.labels) for one in found]
    errors = [metric.standard_error(one, one.labels) for one in found]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


@ALL
def test_the_interval_holds_the_value(metric: Metric) -> None:
    found = _predictions(right=0.7)
    value = metric.compute(found, found.labels)
    interval = metric.confidence(value, metric.standard_error(found, found.labels), 300)
    assert interval is not None
    assert interval[0] < value < interval[1]


@ALL
def test_is_written_for_people(metric: Metric) -> None:
    assert metric.format(metric.best) != metric.format(metric.worst)
