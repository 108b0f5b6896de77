import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from search.objectives.limits import SIZE
from search.objectives.metrics import (
    ACCURACY,
    BALANCED_ACCURACY,
    MACRO_F1,
    TOP5_ACCURACY,
    WORST_CLASS_RECALL,
    wilson_interval,
)
from search.objectives.predictions import Predictions
from tests.measured import LOSS
from tests.messages import naming


def _found(labels: list[int], classes: list[int]) -> Predictions:
    return Predictions(
        labels=np.array(labels),
        classes=np.array(classes),
        confidence=np.ones(len(labels), np.float32),
    )


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_there_are() -> None:
    # Of class 0 three of four, of class 2 none of one, of class 1 there is no image.
    found = _found([0, 0, 0, 0, 2], [0, 0, 0, 1, 1])
    nobody = np.zeros(5, np.int64)
    assert BALANCED_ACCURACY.compute(found, nobody) == pytest.approx((0.75 + 0.0) / 2)
    assert ACCURACY.compute(found, nobody) == pytest.approx(0.6)


def test_the_error_of_balanced_accuracy_is_that_of_a_mean_of_shares() -> None:
    labels = np.repeat([0, 1], [400, 50])
    draw = np.random.default_rng(0)
    error = BALANCED_ACCURACY.standard_error
    right = np.repeat([0.9, 0.5], [400, 50])
    values, errors = [], []
    for _ in range(400):
        hit = draw.random(450) < right
        found = _found(labels.tolist(), np.where(hit, labels, 1 - labels).tolist())
        values.append(BALANCED_ACCURACY.compute(found, labels))
        errors.append(error(found, labels))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_macro_f1_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    # Class 3 is never predicted, class 4 has no image, class 6 has neither.
    labels = draw.choice([0, 1, 2, 3, 5], 200)
    classes = draw.choice([0, 1, 2, 4, 5], 200)
    expected = f1_score(labels, classes, average="macro", zero_division=0)
    assert MACRO_F1.compute(_found(labels.tolist(), classes.tolist()), labels) == (
        pytest.approx(expected)
    )


def test_the_worst_recall_is_that_of_the_worst_class_that_has_images() -> None:
    found = _found([0, 0, 0, 0, 2, 2], [0, 0, 0, 1, 2, 0])
    assert WORST_CLASS_RECALL.compute(found, found.labels) == 0.5


def test_the_top_five_are_those_with_the_highest_logits() -> None:
    logits = np.arange(10.0)[None, ::-1].repeat(10, axis=0)  # class 0 has the highest
    found = Predictions.of_logits(logits, np.arange(10))
    assert TOP5_ACCURACY.compute(found, found.labels) == 0.5
    assert found.ranks is not None
    assert found.ranks.tolist() == list(range(10))


@pytest.mark.parametrize(("right", "images"), [(0, 7), (7, 7), (180, 200), (9731, 10000)])
def test_wilsons_interval_is_scipys(right: int, images: int) -> None:
    expected = binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / images, images) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )


@pytest.mark.parametrize("name", ["", "top-5", "Top5", "5_top", "top 5", "a.b", "ä"])
def test_a_name_that_no_store_takes_is_refused(name: str) -> None:
    for entry, change in (
        (ACCURACY, {"name": name}),
        (SIZE, {"name": name}),
        (SIZE, {"cost": name}),
        (SIZE, {"also": {name: "p95"}}),
    ):
        with pytest.raises(ValueError, match="name of a") as told:
            replace(entry, **change)
        assert repr(name) in str(told.value)


@pytest.mark.parametrize(("best", "worst"), [(1.0, 1.0), (0.0, math.inf), (math.nan, 0.0)])
def test_a_metric_without_a_scale_is_refused(best: float, worst: float) -> None:
    with pytest.raises(ValueError, match=naming("accuracy", best, worst)):
        replace(ACCURACY, best=best, worst=worst)


def test_of_two_values_beyond_the_worst_one_is_still_better() -> None:
    assert LOSS.is_better(5.0, than=6.0)
    assert not LOSS.is_better(6.0, than=5.0)
    assert LOSS.utility(5.0) == LOSS.utility(6.0) == 0
    assert ACCURACY.is_better(0.6, than=0.5)


def test_predictions_can_have_no_value_beyond_the_best_and_no_share_beyond_the_worst() -> None:
    assert [LOSS.can_be(value) for value in (-0.1, 0.0, 4.0, 9.0)] == [False, True, True, True]
    assert [ACCURACY.can_be(value) for value in (-0.1, 0.0, 1.0, 1.1)] == [False, True, True, False]
