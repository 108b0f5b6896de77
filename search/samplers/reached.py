"""What the finished trials of a study have reached, kept up to date as they finish."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from search.objectives.dominance import non_dominated
from search.samplers.cost_space import CostSpace
from search.samplers.history import FinishedTrial

# The number of trials with the best utility that are leaders beside those of the frontier.
_BEST = 3


class ReachedStudents:
    """The frontier of the finished trials, and those that lead.

    Other trials are forgotten, so that the time of an update does not grow with the study.

    Args:
        costs: gives the coordinates of students.
    """

    def __init__(self, costs: CostSpace) -> None:
        self._costs = costs
        self._frontier: list[FinishedTrial] = []
        self._feasible: list[FinishedTrial] = []
        self._infeasible: list[FinishedTrial] = []
        self.best_utility = 0.0
        """The best utility of a student within the budget, of this study or another one."""
        self.highest_costs: tuple[float, ...] = ()
        """The highest finite coordinates of a student of this study within the budget."""

    def add(self, finished: Iterable[FinishedTrial]) -> None:
        """Learn from trials that have finished since the last call."""
        for one in finished:
            if not one.feasible:
                self._infeasible.append(one)
                continue
            self._feasible.append(one)
            self.best_utility = max(self.best_utility, one.utility)
            if not one.elsewhere:
                self._frontier.append(one)
                self.highest_costs = _highest(self.highest_costs, self._costs.of_finished(one))
        points = [self._costs.of_finished(one) for one in self._frontier]
        self._frontier = _undominated(self._frontier, points)
        self._feasible = _distinct(_leaders(self._feasible))
        self._infeasible = _distinct(_leaders(self._infeasible))

    def leaders(self) -> Sequence[FinishedTrial]:
        """Return the trials of the frontier and the three with the best utility.

        They are within the budget, unless no trial is. A trial may be there twice.
        """
        return _leaders(self._feasible or self._infeasible)

    def frontier(self) -> tuple[np.ndarray, np.ndarray]:
        """Return utilities, [students], and coordinates, [students, costs], of the frontier.

        The costs are those that are predicted now.
        """
        utilities = [one.utility for one in self._frontier]
        points = [self._costs.of_finished(one) for one in self._frontier]
        return np.array(utilities), np.array(points).reshape(-1, self._costs.count)


def _leaders(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    best = sorted(trials, key=lambda one: -one.utility)[:_BEST]
    return [*_undominated(trials, [one.costs for one in trials]), *best]


def _undominated(
    trials: Sequence[FinishedTrial], costs: Sequence[tuple[float, ...]]
) -> list[FinishedTrial]:
    if not trials:
        return []
    values = [(-one.utility, *cost) for one, cost in zip(trials, costs, strict=True)]
    return [trials[place] for place in non_dominated(np.array(values))]


def _distinct(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    return [*{id(one): one for one in trials}.values()]


def _highest(known: tuple[float, ...], costs: tuple[float, ...]) -> tuple[float, ...]:
    finite = [cost if math.isfinite(cost) else 0.0 for cost in costs]
    return tuple(map(max, finite, known)) if known else tuple(finite)
