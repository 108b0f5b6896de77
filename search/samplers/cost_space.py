"""The costs of recipes as coordinates, and the worst corner of the cost space."""

import math
from collections.abc import Sequence

import numpy as np

from search.objectives.budget import Budget
from search.objectives.goal import Goal
from search.records import Cost
from search.samplers.candidates import Candidate, Predict
from search.samplers.history import FinishedTrial
from spaces.recipe import Recipe


class CostSpace:
    """The space of the costs that a goal minimises.

    Args:
        goal: the goal; its costs, in its order, are the axes.
        budget: the limits of some costs.
        predict: predicts a recipe's cost.
    """

    def __init__(self, goal: Goal, budget: Budget, predict: Predict) -> None:
        self._goal = goal
        self._limits = budget.limits()
        self._predict = predict

    @property
    def count(self) -> int:
        """The number of costs."""
        return len(self._goal.costs)

    def worst(self, highest: np.ndarray, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the worst corner, [costs]: the budget's limits.

        For a cost without a limit, the corner is 1% above the highest known cost.

        Args:
            highest: the highest coordinates of finished students, [costs].
            pool: candidates; those without known costs are ignored.
        """
        known = self.of_candidates(pool)
        found = np.where(np.isfinite(known), known, 0.0).max(axis=0, initial=0.0)
        free = 1.01 * np.maximum(found, highest)
        limits = [self._limits.get(limit.cost, np.nan) for limit in self._goal.costs]
        corner = np.where(np.isnan(limits), np.where(free > 0, free, 1.01), limits)
        return corner.astype(float)

    def of_candidates(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the coordinates of the candidates, [candidates, costs]; NaN if unknown."""
        points = [self._point(one.cost) for one in pool]
        return np.array(points, dtype=float).reshape(-1, self.count)

    def of_recipes(self, recipes: Sequence[Recipe]) -> np.ndarray:
        """Return the coordinates of the recipes, [recipes, costs], from their predicted costs."""
        points = [self._point(self._predict(one)) for one in recipes]
        return np.array(points, dtype=float).reshape(-1, self.count)

    def of_finished(self, finished: FinishedTrial) -> tuple[float, ...]:
        """Return the coordinates of a finished trial, from predicted costs as for candidates.

        A latency that was measured while the machine was slow would be above the prediction for the
        same shape. A candidate of that shape would then wrongly appear as an improvement.
        """
        predicted = self._predict(finished.recipe) or {}
        if all(limit.cost in predicted for limit in self._goal.costs):
            return self._goal.costs_of(predicted)
        return finished.costs

    def _point(self, cost: Cost | None) -> tuple[float, ...]:
        known = cost or {}
        return tuple(float(known.get(limit.cost, math.nan)) for limit in self._goal.costs)


def with_halves(points: np.ndarray, worst: np.ndarray) -> np.ndarray:
    """Return the coordinates, [points, costs], with half of the worst for unknown ones."""
    return np.where(np.isnan(points), worst / 2, points)
