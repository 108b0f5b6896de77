"""Reasons for refusing recipes, without the recipes' own values, so that they can be counted."""

import re
from collections import Counter
from itertools import islice

from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.cost_model.verdict import Basis, CostVerdict
from search.errors import shortened
from search.objectives.limits import limit_on
from search.samplers.optuna_adapter import Sampler

# The number of drawn recipes is large, because finding a contradiction needs no network.
_DRAWS = 400


def contradictions(study: Study) -> dict[str, float]:
    """Return, by reason, the share of recipes drawn at random that contradict themselves."""
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    drawn = [recipe.conflict() for recipe in islice(iter(sampler.ask, None), _DRAWS)]
    counted = Counter(_without_values(reason) for reason in drawn if reason)
    return {reason: count / len(drawn) for reason, count in counted.most_common()}


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
