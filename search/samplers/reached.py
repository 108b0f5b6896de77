"""What the finished trials of a study have reached, kept up to date as they finish."""

from collections.abc import Iterable, Sequence

import numpy as np

from search.objectives.dominance import non_dominated
from search.samplers.cost_space import CostSpace
from search.samplers.history import FinishedTrial

# The number of trials with the best utility, and of those nearest to the budget, that are leaders
# beside those of the frontier.
_BEST = 3


class ReachedStudents:
    """The frontier of the finished trials, and those that lead.

    Other trials are forgotten, so that the time of an update does not grow with the study. One that
    was dominated by costs as they were predicted then stays forgotten if the predictions change.

    Args:
        costs: gives the coordinates of students.
    """

    def __init__(self, costs: CostSpace) -> None:
        self._costs = costs
        # All lists are in the order in which the trials finished.
        self._frontier: list[FinishedTrial] = []
        self._dearest: list[FinishedTrial] = []
        self._feasible: list[FinishedTrial] = []
        self._infeasible: list[FinishedTrial] = []
        self.best_utility = 0.0
        """The best utility of a student within the budget, of this study or another one."""

    def add(self, finished: Iterable[FinishedTrial]) -> None:
        """Learn from trials that have finished since the last call."""
        for one in finished:
            (self._feasible if one.feasible else self._infeasible).append(one)
            if one.feasible:
                self.best_utility = max(self.best_utility, one.utility)
            if one.feasible and not one.elsewhere:
                self._frontier.append(one)
                self._dearest.append(one)
        self._feasible = _only(_leaders(self._feasible), self._feasible)
        self._infeasible = _only(_leaders(self._infeasible), self._infeasible)
        points = self._points(self._frontier)
        self._frontier = _only(_undominated(self._frontier, points), self._frontier)
        places = self._finite_points(self._dearest).argmax(axis=0) if self._dearest else []
        self._dearest = _only([self._dearest[place] for place in places], self._dearest)

    def leaders(self) -> Sequence[FinishedTrial]:
        """Return the trials of the frontier, and the three with the best utility.

        They are within the budget. If no trial is, they are of the others, with the three that miss
        the budget by the least. A trial may be there twice.
        """
        return _leaders(self._feasible or self._infeasible)

    def frontier(self) -> tuple[np.ndarray, np.ndarray]:
        """Return utilities, [students], and coordinates, [students, costs], of the frontier.

        The costs are those that are predicted now.
        """
        return np.array([one.utility for one in self._frontier]), self._points(self._frontier)

    def highest_costs(self) -> np.ndarray:
        """Return the highest finite coordinates of students within the budget, [costs], or 0."""
        highest: np.ndarray = self._finite_points(self._dearest).max(axis=0, initial=0.0)
        return highest

    def _finite_points(self, trials: Sequence[FinishedTrial]) -> np.ndarray:
        points = self._points(trials)
        return np.where(np.isfinite(points), points, 0.0)

    def _points(self, trials: Sequence[FinishedTrial]) -> np.ndarray:
        """Return the coordinates of the trials, [trials, costs]."""
        points = [self._costs.of_finished(one) for one in trials]
        return np.array(points, dtype=float).reshape(-1, self._costs.count)


def _leaders(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    best = sorted(trials, key=lambda one: -one.utility)[:_BEST]
    nearest = sorted((one for one in trials if not one.feasible), key=lambda one: one.violation)
    leading = _undominated(trials, np.array([one.costs for one in trials]))
    return [*leading, *best, *nearest[:_BEST]]


def _undominated(trials: Sequence[FinishedTrial], points: np.ndarray) -> list[FinishedTrial]:
    if not trials:
        return []
    utilities = np.array([one.utility for one in trials])
    return [trials[place] for place in non_dominated(np.column_stack([-utilities, points]))]


def _only(kept: Iterable[FinishedTrial], trials: Iterable[FinishedTrial]) -> list[FinishedTrial]:
    """Return the trials that are kept, each once, in their order."""
    names = {id(one) for one in kept}
    return [one for one in trials if id(one) in names]
