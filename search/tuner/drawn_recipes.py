"""Recipes that a plan draws at random: their costs, and the duration of their trials."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.refusals import cause_of
from search.records import Cost
from search.samplers.optuna_adapter import Sampler
from search.tuner.branching import branches_of
from search.tuner.effort import TrialTimer
from search.tuner.finalists import to_the_end
from spaces.recipe import Recipe

_DRAWS = 32


@dataclass(frozen=True, kw_only=True)
class DrawnRecipe:
    """A recipe drawn at random, with its predicted or measured cost.

    Attributes:
        params: the recipe's flat parameters.
        cost: the predicted or measured cost of its student; None where it is unknown.
        refusal: why the recipe may not be trained; None if it may.
        seconds: the predicted duration of its trial, with all branches; None if refused.
        final_s: the predicted duration of its training as a finalist; None if refused, or if the
            study has no finalists.
        branches: the maximum number of branches of its trial.
        cause: the refusal without the recipe's own values, to count recipes by cause.
    """

    params: dict[str, Any]
    cost: Cost | None
    refusal: str | None
    seconds: float | None
    final_s: float | None = None
    branches: int = 0
    cause: str | None = None


def draw_recipes(
    study: Study,
    requirements: StudentRequirements,
    timer: TrialTimer,
    progress: Callable[[str], None],
) -> Iterator[DrawnRecipe]:
    """Yield recipes drawn at random from the study's space, fewer if it has no more.

    Args:
        study: the study.
        requirements: the requirements on its students.
        timer: predicts the duration of trials.
        progress: receives a line before each recipe.
    """
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    # A target that is a node of the cluster can't measure now: a plan does not connect to Ray.
    feasibility = Feasibility(requirements, CostTable(), timed=requirements.target.resource is None)
    for number in range(_DRAWS):
        if (recipe := sampler.ask()) is None:
            return
        student = recipe.student.timm_model or recipe.student.name
        progress(f"recipe {number + 1} of {_DRAWS}: {student}")
        verdict = feasibility.judge(recipe)
        branches = _branches(recipe, study) if verdict.admitted else ()
        yield DrawnRecipe(
            params=recipe.to_params(),
            cost=verdict.cost,
            refusal=verdict.reason or None,
            cause=None if verdict.admitted else cause_of(verdict, requirements),
            seconds=timer.seconds(recipe, branches) if verdict.admitted else None,
            final_s=_final_seconds(recipe, study, timer) if verdict.admitted else None,
            branches=len(branches),
        )


def _final_seconds(recipe: Recipe, study: Study, timer: TrialTimer) -> float | None:
    """Predict the seconds of the recipe as a finalist; None if the study has no finalists."""
    if study.final is None:
        return None
    return timer.seconds(to_the_end(recipe, study.final.epochs), ())


def _branches(recipe: Recipe, study: Study) -> Sequence[Recipe]:
    """Return all possible branches of the recipe's trial."""
    prunings = study.search.branches
    return branches_of(recipe, study.search_space(), prunings=prunings) if prunings else ()
