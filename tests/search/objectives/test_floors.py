"""The floors of a budget: what they accept, what they measure, and what breaks them."""

import numpy as np
import pytest
from pydantic import ValidationError

from search.errors import BadInput
from search.objectives.budget import Budget, stored_budget, total_violation
from search.objectives.floors import Floor, class_recall, recall_texts
from search.objectives.predictions import Predictions
from search.records import Measurement
from tests.measured import LOSS, cost, quality
from tests.messages import naming

COST = cost(size_bytes=200)
QUALITY = quality(accuracy=0.9, macro_f1=0.8) | {"recall.stop": Measurement(0.95, 0.02)}
LOSS_FLOOR = Floor(metric=LOSS, bound=0.5)


def budget(**values: object) -> Budget:
    return Budget.model_validate(values)


def _predictions(labels: list[int], classes: list[int]) -> Predictions:
    return Predictions(
        labels=np.array(labels), classes=np.array(classes), confidence=np.ones(len(labels), "f")
    )


def test_a_student_is_within_the_budget_if_its_costs_and_its_quality_are() -> None:
    asked = budget(size=300, recall={"stop": 0.95}, metrics={"macro_f1": 0.8})
    assert asked.surely_admits(COST, QUALITY)
    assert not asked.admits(cost(size_bytes=301), QUALITY)


@pytest.mark.parametrize(
    "floors", [{"recall": {"stop": 0.96}}, {"metrics": {"macro_f1": 0.81}}], ids=str
)
def test_one_broken_floor_is_enough_to_refuse(floors: dict[str, object]) -> None:
    assert not budget(size=300, **floors).admits(COST, QUALITY)


def test_a_violation_of_a_floor_is_a_share_of_the_metrics_range() -> None:
    asked = budget(recall={"stop": 0.98}, metrics={"macro_f1": 0.7})
    violations = asked.violations(COST, QUALITY)
    assert violations == pytest.approx({"recall.stop": 0.03, "macro_f1": -0.1})
    assert total_violation(violations) == pytest.approx(0.03)


def test_of_a_metric_of_which_less_is_better_a_floor_is_the_highest_value() -> None:
    assert LOSS_FLOOR.shortfall(1.5) == 0.25
    assert LOSS_FLOOR.shortfall(0.5) == 0
    assert str(LOSS_FLOOR) == "loss at most 0.50"
    assert LOSS_FLOOR.explain(1.5) == "loss 1.50 is above 0.50"


def test_a_rounding_error_breaks_no_floor() -> None:
    assert budget(metrics={"macro_f1": 0.3}).admits(COST, quality(macro_f1=0.1 * 3 - 1e-16))


def test_what_is_broken_is_said_in_words_limits_first() -> None:
    asked = budget(size=100, recall={"stop": 0.98}, metrics={"macro_f1": 0.85, "accuracy": 0.5})
    assert asked.explain(COST, QUALITY) == (
        "size 200 B is above 100 B; recall of stop 95.00% is below 98.00%; "
        "macro F1 80.00% is below 85.00%"
    )
    assert asked.explain(cost(size_bytes=1), {}) == ""


def test_an_unknown_value_is_uncertain_and_breaks_nothing() -> None:
    asked = budget(recall={"stop": 0.98})
    assert asked.admits(COST)
    assert not asked.surely_admits(COST)
    assert asked.before_training.surely_admits(COST)


def test_budgets_with_floors_can_be_keys_of_a_cache() -> None:
    same = [budget(recall={"stop": 0.9, "yield": 0.8}), budget(recall={"yield": 0.8, "stop": 0.9})]
    assert len(set(same)) == 1
    assert budget(recall={"stop": 0.9}) != budget(recall={"stop": 0.91})


def test_a_floor_without_a_value_is_none() -> None:
    asked = budget(recall={"stop": None}, metrics=None)
    assert asked.is_open
    assert not budget(recall={"stop": 0.1}).is_open


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"recall": {"stop": 98}}, ("stop", 98)),
        ({"recall": {"stop": 0}}, ("stop", 0)),
        ({"recall": {"stop": True}}, ("stop", True)),
        ({"recall": {"stop": float("nan")}}, ("stop", "nan")),
        ({"recall": 0.98}, (0.98,)),
        ({"recall": {14: 0.98}}, (14, "quote")),
        ({"metrics": {"macro_f2": 0.9}}, ("macro_f2", "did you mean 'macro_f1'")),
        ({"metrics": {"macro_f1": 1.1}}, ("macro_f1", 1.1)),
        ({"metrics": {"macro_f1": 0.0}}, ("macro_f1", 0)),
    ],
    ids=str,
)
def test_a_floor_that_no_student_or_every_student_meets_is_refused(
    given: dict[str, object], facts: tuple[object, ...]
) -> None:
    with pytest.raises(ValidationError, match=naming(*facts)):
        budget(**given)


def test_a_stored_floor_of_a_metric_that_is_not_installed_is_refused() -> None:
    config = {"study": "signs", "budget": {"metrics": {"elegance": 0.5}}}
    with pytest.raises(BadInput, match=naming("signs", "elegance")):
        stored_budget(config)


def test_a_recall_is_the_share_of_a_classs_images_that_are_right() -> None:
    found = _predictions([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0])
    assert class_recall(found, 0) == Measurement(0.75, pytest.approx((0.75 * 0.25 / 4) ** 0.5))
    assert class_recall(found, 1) == Measurement(0.0, 0.0)
    assert class_recall(found, 2) is None


def test_a_floor_measures_the_value_that_it_bounds() -> None:
    found = _predictions([0, 0, 1, 1], [0, 0, 0, 1])
    of_class, of_metric = budget(recall={"a": 0.5}, metrics={"worst_class_recall": 0.5}).floors()
    teacher = np.zeros(4, np.int64)
    for floor, value in ((of_class, 1.0), (of_metric, 0.5)):
        measured = floor.measure(found, teacher, {"a": 0})
        assert measured is not None
        assert measured.value == value


def test_recalls_are_shown_with_the_half_of_their_interval() -> None:
    assert recall_texts(QUALITY) == {"recall of stop": "95.00% ± 3.92%"}
