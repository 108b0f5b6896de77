"""Pins the cached stages of a study's frontier, so that the cache does not evict them."""

import numpy as np

from search.objectives.budget import total_violation
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.pipeline.lineage import Lineage
from search.pipeline.stage_cache import StageCache
from search.records import Outcome, TrialState
from spaces.recipe import Recipe


class FrontierPins:
    """Pins on the cached stages of the students on a study's frontier.

    Args:
        owner: a name that is unique among the studies that share the cache.
        goal: the goal that decides the frontier.
        lineage: the lineage that computes the stages' keys.
        cache: the cache of the stages.
    """

    def __init__(self, owner: str, goal: Goal, lineage: Lineage, cache: StageCache) -> None:
        self._owner = owner
        self._goal = goal
        self._lineage = lineage
        self._cache = cache
        # The objectives of each student, and the keys of its stages.
        self._frontier: list[tuple[tuple[float, ...], frozenset[str]]] = []
        self._has_changed = False

    def keep(self) -> None:
        """Replace the pins with the stages of the frontier, if the frontier has changed."""
        if self._has_changed:
            self._cache.pin(self._owner, {key for _, keys in self._frontier for key in keys})
            self._has_changed = False

    def note(self, recipe: Recipe, seed: int, outcome: Outcome) -> None:
        """Record the outcome of a trial or branch."""
        point = self._goal.point(outcome)
        is_feasible = total_violation(outcome.violations) == 0
        if point is None or outcome.state is not TrialState.COMPLETE or not is_feasible:
            return
        students = [*self._frontier, (point, self._lineage.keys(recipe, seed))]
        places = sorted(non_dominated(np.array([values for values, _ in students])).tolist())
        if places[-1] == len(self._frontier):
            self._frontier = [students[place] for place in places]
            self._has_changed = True
