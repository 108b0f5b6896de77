"""Reasons for refusing recipes, without the recipes' own values, so that they can be counted."""

import re
from collections import Counter

import numpy as np

from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.cost_model.verdict import Basis, CostVerdict
from search.errors import shortened
from search.objectives.limits import limit_on
from search.samplers.candidates import Draw
from spaces.recipe import Recipe

# The number of recipes is large, because finding a contradiction needs no network.
_RECIPES = 400
# A small space has fewer; most draws then repeat a recipe.
_MOST_DRAWS = 4 * _RECIPES


def contradictions(study: Study) -> dict[str, float]:
    """Return, by reason, the share of recipes drawn at random that contradict themselves."""
    drawn = [recipe.conflict() for recipe in _distinct_recipes(study)]
    counted = Counter(_without_values(reason) for reason in drawn if reason)
    return {reason: count / len(drawn) for reason, count in counted.most_common()}


def _distinct_recipes(study: Study) -> list[Recipe]:
    """Draw recipes from the study's space at random."""
    space, draw = study.search_space(), Draw(np.random.default_rng(study.seed))
    wanted = min(_RECIPES, space.count())
    recipes: dict[Recipe, None] = {}
    for _ in range(_MOST_DRAWS):
        recipes[Recipe.from_params(space.suggest(draw))] = None
        if len(recipes) >= wanted:
            break
    return list(recipes)


def cause_of(verdict: CostVerdict, requirements: StudentRequirements) -> str:
    """Return why a recipe was not admitted: the broken limits, or why its student can't be made."""
    if verdict.cost is None or verdict.basis in (Basis.CONFLICT, Basis.UNSOUND):
        return _without_values(verdict.reason)
    violations = requirements.budget.violations(verdict.cost)
    broken = ", ".join(limit_on(cost).label for cost, excess in violations.items() if excess > 0)
    return f"over the budget: {broken}"


def _without_values(reason: str) -> str:
    """Return the part of a reason before `but got`, which contains no values of the recipe."""
    return re.split(r",? (?:but )?got ", shortened(ValueError(reason), lines=1))[0]
