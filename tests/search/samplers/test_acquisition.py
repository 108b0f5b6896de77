"""What a recipe with known costs and an uncertain utility is worth."""

import numpy as np
import pytest

from search.objectives.dominance import hypervolume
from search.samplers.acquisition import (
    ParetoFront,
    expected_improvements,
    leads,
    weighted_improvements,
)


@pytest.mark.parametrize(("count", "error"), [(1, 0.002), (2, 0.002), (3, 0.006), (4, 0.006)])
def test_the_expected_improvement_is_that_of_a_monte_carlo_estimate(
    count: int, error: float
) -> None:
    rng = np.random.default_rng(1)
    worst = np.array([3.0, 5.0, 0.5, 40.0])[:count]
    front = ParetoFront(rng.uniform(0.4, 0.9, 6), rng.random((6, count)) * worst, 0.3, worst)
    utilities = rng.uniform(0.3, 1.0, (4, 8))
    costs = rng.random((4, count)) * worst / count
    # Points between the least utility and 1, below the worst costs; uniform.
    points = rng.random((200_000, count + 1)) * [0.7, *worst] + [0.3, *np.zeros(count)]
    dominated = _dominates(front.utilities, front.costs, points).any(axis=0)
    found = expected_improvements(utilities, costs, front)
    for i in range(4):
        new = _dominates(utilities[i], np.repeat(costs[i : i + 1], 8, axis=0), points) & ~dominated
        assert found[i] == pytest.approx(0.7 * new.mean(), abs=error)
    assert (found > 2 * error).any()


def _dominates(accuracies: np.ndarray, costs: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each of the first lies beyond each of the points, [first, points]."""
    better = accuracies[:, None] >= points[None, :, 0]
    within = (costs[:, None, :] <= points[None, :, 1:]).all(axis=2)
    return np.asarray(better & within)


def test_the_improvement_of_a_certain_accuracy_is_that_of_the_hypervolume() -> None:
    front = ParetoFront(np.array([0.8, 0.6]), np.array([[0.5, 0.5], [0.2, 0.7]]), 0.0, np.ones(2))
    before = [(0.2, 0.5, 0.5), (0.4, 0.2, 0.7)]
    corner = (1.0, 1.0, 1.0)
    growth = hypervolume([*before, (0.3, 0.3, 0.6)], corner) - hypervolume(before, corner)
    found = expected_improvements(np.array([[0.7]]), np.array([[0.3, 0.6]]), front)
    assert found == pytest.approx([growth])


def test_a_recipe_beyond_the_worst_costs_or_below_the_frontier_promises_nothing() -> None:
    front = ParetoFront(np.array([0.8]), np.array([[0.5, 0.5]]), 0.0, np.ones(2))
    found = expected_improvements(
        np.array([[0.99], [0.7]]), np.array([[1.2, 0.1], [0.6, 0.6]]), front
    )
    assert found.tolist() == [0.0, 0.0]


def test_without_any_frontier_the_whole_box_is_to_be_gained() -> None:
    empty = ParetoFront(np.empty(0), np.empty((0, 2)), 0.25, np.array([2.0, 4.0]))
    found = expected_improvements(np.array([[0.75]]), np.array([[1.0, 1.0]]), empty)
    assert found == pytest.approx([0.5 * 0.5 * 0.75])


def test_a_recipe_leads_what_was_had_at_no_higher_costs() -> None:
    front = ParetoFront(np.array([0.8, 0.6]), np.array([[0.8, 0.8], [0.2, 0.2]]), 0.5, np.ones(2))
    accuracies = np.array([0.75, 0.58, 0.55, 0.9])
    costs = np.array([[0.9, 0.9], [0.3, 0.8], [0.1, 0.3], [0.8, 0.8]])
    assert leads(accuracies, costs, front) == pytest.approx([-0.05, -0.02, 0.05, 0.1])
    empty = ParetoFront(np.empty(0), np.empty((0, 2)), 0.5, np.ones(2))
    assert leads(accuracies[:1], costs[:1], empty) == pytest.approx([0.25])


FRONT = ParetoFront(
    np.array([0.8, 0.6, 0.95]), np.array([[0.5, 0.5], [0.2, 0.7], [2.0, 0.1]]), 0.3, np.ones(2)
)


def test_the_best_student_within_the_budget_is_what_counts_at_weight_1() -> None:
    utilities = np.array([[0.7, 0.9], [0.5, 0.79], [0.9, 1.0]])
    costs = np.array([[0.9, 1.0], [0.1, 0.1], [0.9, 1.1]])
    found = weighted_improvements(utilities, costs, FRONT, weight=1.0)
    # The best within the budget reaches 0.8; the third recipe breaks it.
    assert found == pytest.approx([(0.0 + 0.1) / 2, 0.0, 0.0])


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5])
def test_a_weight_is_the_share_of_the_best_student(weight: float) -> None:
    rng = np.random.default_rng(0)
    utilities, costs = rng.uniform(0.5, 1.0, (20, 8)), rng.random((20, 2))
    best, volume = (
        weighted_improvements(utilities, costs, FRONT, weight=1.0),
        expected_improvements(utilities, costs, FRONT),
    )
    found = weighted_improvements(utilities, costs, FRONT, weight=weight)
    assert found == pytest.approx(weight * best + (1 - weight) * volume)


def test_without_a_student_within_the_budget_any_useful_one_is_a_gain() -> None:
    beyond = ParetoFront(np.array([0.9]), np.array([[2.0, 0.1]]), 0.3, np.ones(2))
    found = weighted_improvements(np.array([[0.7]]), np.array([[0.5, 0.5]]), beyond, weight=1.0)
    assert found == pytest.approx([0.4])
