"""A survey of the costs of a space's students, before any is chosen."""

import numpy as np

from search.cost_model.feasibility import Feasibility
from search.samplers.candidates import Draw
from spaces.axes.student import Student
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

# The space counts as known after this many predictable costs in a row.
_ENOUGH = 50
# Of this many recipes with unknown costs, the one that is cut the most is measured: it says the
# most about the others, and the sampler begins with the cheapest.
_COMPARED = 8


class Survey:
    """A survey: it measures students, drawn from a space, whose costs can't be predicted.

    A sampler that uses costs proposes recipes that it knows to fit; it should know all kinds of
    students before it settles on some.

    Args:
        space: the students are drawn from it.
        feasibility: measures them, and learns.
        seed: of the draws.
    """

    def __init__(self, space: SearchSpace, feasibility: Feasibility, *, seed: int) -> None:
        self._space = space
        self._admission = feasibility
        self._draw = Draw(np.random.default_rng(seed))
        self._told = 0
        # Pairs of a student and a pruning method that can't cut it.
        self._refused: set[tuple[Student, str]] = set()

    def go_on(self) -> bool:
        """Measure one more student, for about a second; False where enough are known."""
        unknown: list[Recipe] = []
        while self._told < _ENOUGH and len(unknown) < _COMPARED:
            recipe = Recipe.from_params(self._space.suggest(self._draw))
            refused = _kind(recipe) in self._refused
            if refused or recipe.conflict() or self._admission.predict(recipe):
                self._told += 1
            else:
                unknown.append(recipe)
        if not unknown:
            return False
        self._told = 0
        chosen = max(unknown, key=lambda one: one.pruning.nominal_ratio or 0.0)
        if self._admission.measure(chosen) is None:
            self._refused.add(_kind(chosen))
        return True


def _kind(recipe: Recipe) -> tuple[Student, str]:
    return recipe.student, recipe.pruning.name
