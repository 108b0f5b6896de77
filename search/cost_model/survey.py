"""A survey of the costs of a space's students, while the workers start."""

import numpy as np

from search.cost_model.feasibility import Feasibility
from search.samplers.candidates import Draw
from spaces.axes.student import Student
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

# The survey ends after this many consecutive draws with predictable costs.
_ENOUGH = 50
# Among this many recipes with unknown costs, the one with the strongest pruning is measured: its
# cost bounds the most others, and the sampler begins with the cheapest recipe.
_COMPARED = 8


class Survey:
    """Survey that measures students of a space whose costs can't be predicted.

    A sampler that uses costs proposes recipes that are known to fit. Without a survey it would know
    only some kinds of students, and propose only those.

    Args:
        space: the search space from which students are drawn.
        feasibility: measures the students, and records their costs.
        seed: the seed of the draws.
    """

    def __init__(self, space: SearchSpace, feasibility: Feasibility, *, seed: int) -> None:
        self._space = space
        self._feasibility = feasibility
        self._draw = Draw(np.random.default_rng(seed))
        self._predictable = 0
        # Pairs of a student and a pruning method that can't cut it.
        self._uncuttable: set[tuple[Student, str]] = set()

    def measure_next(self) -> bool:
        """Measure one more student, in about a second; return False if enough costs are known."""
        unknown: list[Recipe] = []
        while self._predictable < _ENOUGH and len(unknown) < _COMPARED:
            recipe = Recipe.from_params(self._space.suggest(self._draw))
            is_uncuttable = _kind(recipe) in self._uncuttable
            if is_uncuttable or recipe.conflict() or self._feasibility.predict(recipe):
                self._predictable += 1
            else:
                unknown.append(recipe)
        if not unknown:
            return False
        self._predictable = 0
        chosen = max(unknown, key=lambda one: one.pruning.nominal_ratio or 0.0)
        if self._feasibility.measure(chosen) is None:
            self._uncuttable.add(_kind(chosen))
        return True


def _kind(recipe: Recipe) -> tuple[Student, str]:
    return recipe.student, recipe.pruning.name
