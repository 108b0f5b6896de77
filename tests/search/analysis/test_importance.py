"""Which parameters decide."""

import random
from dataclasses import replace

import pytest

from search.analysis.importance import importances, trained_students
from search.records import Scalar, TrialRecord
from tests.search.analysis.test_pareto import GOAL, LEAST_LOSS, LOSS, running, trial, with_loss


def searched(count: int) -> list[TrialRecord]:
    """Trials whose accuracy hangs on the learning rate alone, and whose size on the ratio alone."""
    numbers = random.Random(0)  # noqa: S311
    found = []
    for number in range(count):
        rate, ratio = 10 ** numbers.uniform(-4, -1), numbers.random()
        params: dict[str, Scalar] = {
            "training.standard.learning_rate": rate,
            "pruning.magnitude.ratio": ratio,
            "quantization": numbers.choice(["float32", "int8_static"]),
            "training.standard.epochs": numbers.randint(1, 9),
            "student": "timm",
        }
        made = trial(number, 1 - abs(0.01 - rate), round(1000 * (1 - ratio)) + 1)
        found.append(replace(made, params=params))
    return found


@pytest.mark.parametrize(
    ("objective", "name"),
    [("accuracy", "training.standard.learning_rate"), ("size_bytes", "pruning.magnitude.ratio")],
)
def test_the_parameter_that_decides_comes_first(objective: str, name: str) -> None:
    found = importances(searched(200), GOAL, objective)
    assert next(iter(found)) == name
    assert found[name] > 0.5
    assert sum(found.values()) == pytest.approx(1)


def test_a_metric_of_which_less_is_better_is_an_objective_too() -> None:
    trials = []
    for one in searched(200):
        rate = one.params["training.standard.learning_rate"]
        assert isinstance(rate, float)
        trials.append(with_loss(one, rate))
    assert (
        next(iter(importances(trials, LEAST_LOSS, LOSS.name))) == "training.standard.learning_rate"
    )


def test_a_parameter_that_is_always_the_same_is_left_out() -> None:
    assert "student" not in importances(searched(50), GOAL, "accuracy")


def test_what_does_not_change_shapes_has_no_share_in_a_cost() -> None:
    for objective in ("size_bytes", "latency_ms"):
        assert set(importances(searched(50), GOAL, objective)) == {
            "pruning.magnitude.ratio",
            "quantization",
        }


def test_a_sampler_that_tries_good_students_most_does_not_hide_that_the_student_decides() -> None:
    trials = [
        replace(one, params={**one.params, "student.timm.model": "poor" if place < 4 else "good"})
        for place, one in enumerate(searched(40))
    ]
    trials = [
        replace(trial(one.number, 0.2 if place < 4 else 0.98, 1000), params=one.params)
        for place, one in enumerate(trials)
    ]
    assert next(iter(importances(trials, GOAL, "accuracy"))) == "student.timm.model"


def test_students_that_share_a_training_count_once() -> None:
    first, second = searched(2)
    assert trained_students([first, replace(second, parent=0), running(2)], GOAL) == 1


def test_a_parameter_of_only_some_methods_is_weighed() -> None:
    trials = [
        one
        if place % 2
        else replace(one, params={**one.params, "pruning.magnitude.recovery": place})
        for place, one in enumerate(searched(60))
    ]
    assert "pruning.magnitude.recovery" in importances(trials, GOAL, "accuracy")


@pytest.mark.parametrize("objective", ["accuracy", "size_bytes", "latency_ms"])
def test_too_few_trials_say_nothing(objective: str) -> None:
    assert importances([*searched(11), running(99)], GOAL, objective) == {}


def test_trials_that_all_have_one_recipe_say_nothing() -> None:
    assert importances([trial(number, 0.9, 100) for number in range(20)], GOAL, "accuracy") == {}


def test_it_is_the_same_each_time_also_of_very_many() -> None:
    trials = searched(2300)
    assert importances(trials, GOAL, "size_bytes") == importances(trials, GOAL, "size_bytes")
