"""Pins on the stages of a study's frontier: the cache must not evict these."""

import numpy as np

from search.objectives.budget import total_violation
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.pipeline.lineage import Lineage
from search.pipeline.stage_cache import StageCache
from search.records import Outcome, TrialState
from spaces.recipe import Recipe


class FrontierPins:
    """Pins that follow a study's frontier, and keep the stages that it was made from.

    Args:
        owner: a name that no other study that shares the cache has.
        goal: decides the frontier.
        lineage: of its stages.
        cache: keeps the stages.
    """

    def __init__(self, owner: str, goal: Goal, lineage: Lineage, cache: StageCache) -> None:
        self._owner = owner
        self._goal = goal
        self._lineage = lineage
        self._cache = cache
        # The objectives of each student, and the keys of its stages.
        self._frontier: list[tuple[tuple[float, ...], frozenset[str]]] = []
        self._moved = False

    def keep(self) -> None:
        """Pin the stages of the frontier, and nothing else, if it has moved since."""
        if self._moved:
            self._cache.pin(self._owner, {key for _, keys in self._frontier for key in keys})
            self._moved = False

    def note(self, recipe: Recipe, seed: int, outcome: Outcome) -> None:
        """Record how a trial ended, or a branch of one."""
        point = self._goal.point(outcome)
        is_feasible = total_violation(outcome.violations) == 0
        if point is None or outcome.state is not TrialState.COMPLETE or not is_feasible:
            return
        students = [*self._frontier, (point, self._lineage.keys(recipe, seed))]
        kept = sorted(non_dominated(np.array([values for values, _ in students])).tolist())
        if kept[-1] == len(self._frontier):
            self._frontier = [students[place] for place in kept]
            self._moved = True
