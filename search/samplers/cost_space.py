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

    def worst(self, highest: Sequence[float], pool: Sequence[Candidate]) -> np.ndarray:
        """Return the worst corner, [costs]: the budget's limits.

        For a cost without a limit, the corner is 1% above the highest known cost.

        Args:
            highest: the highest coordinates of finished students; empty if none has finished.
            pool: candidates; those without known costs are ignored.
        """
        known = [one.cost for one in pool if one.cost]
        corner = []
        for axis, limit in enumerate(self._goal.costs):
            values = [cost[limit.cost] for cost in known if limit.cost in cost]
            values += highest[axis : axis + 1]
            known_highest = max(filter(math.isfinite, values), default=0.0) or 1.0
            corner.append(self._limits.get(limit.cost, 1.01 * known_highest))
        return np.array(corner, dtype=float)

    def of_candidates(self, pool: Sequence[Candidate], worst: np.ndarray) -> np.ndarray:
        """Return the coordinates of the candidates, [candidates, costs]."""
        return np.array([self._point(one.cost, worst) for one in pool])

    def of_recipe(self, recipe: Recipe, worst: np.ndarray) -> tuple[float, ...]:
        """Return the coordinates of the recipe, from its predicted cost."""
        return self._point(self._predict(recipe), worst)

    def of_finished(self, finished: FinishedTrial) -> tuple[float, ...]:
        """Return the coordinates of a finished trial, from predicted costs as for candidates.

        A latency that was measured while the machine was slow would be above the prediction for the
        same shape. A candidate of that shape would then wrongly appear as an improvement.
        """
        predicted = self._predict(finished.recipe) or {}
        if all(limit.cost in predicted for limit in self._goal.costs):
            return self._goal.costs_of(predicted)
        return finished.costs

    def _point(self, cost: Cost | None, worst: np.ndarray) -> tuple[float, ...]:
        """Return the coordinates of a cost; an unknown value counts as half of the worst."""
        known = cost or {}
        halves = (worst / 2).tolist()
        return tuple(
            float(known.get(limit.cost, half))
            for limit, half in zip(self._goal.costs, halves, strict=True)
        )
