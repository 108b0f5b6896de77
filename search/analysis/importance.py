"""The importance of each recipe parameter for an objective."""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import median_low, mode
from typing import TYPE_CHECKING

from search.analysis.finals import of_kind
from search.objectives.goal import Goal
from search.records import Scalar, TrialKind, TrialRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# With fewer trials, importances are not meaningful. More trials than the maximum take seconds, and
# change little.
_MIN_TRIALS, _MAX_TRIALS = 12, 2000
# Deeper trees separate single trials, so that arbitrary parameters appear important.
_TREES, _DEPTH = 64, 6
_COST_AXES = ("student", "pruning", "quantization")
# A positive range that spans more than this factor uses a log scale.
_WIDE = 20.0


def importances(trials: Sequence[TrialRecord], goal: Goal, objective: str) -> dict[str, float]:
    """Return each parameter's importance in a random forest that predicts the objective.

    A cost depends only on shapes and number formats. So for a cost, the parameters of training and
    distillation are left out.

    Args:
        trials: the trials of one study; only those of the search are used.
        goal: the study's goal.
        objective: the name of the goal's metric, or the stored name of a cost.

    Returns:
        Shares by parameter that sum to 1, the largest first; empty if fewer than 12 trials have the
        objective. A parameter with the same value in all trials is left out. If a trial's methods
        lack a parameter, its value is assumed to be the median of the other trials.

    Source: mean decrease of impurity, Breiman 2001, Random Forests, in Optuna's implementation.
    PED-ANOVA and fANOVA were tried on a recorded search. PED-ANOVA rated the student unimportant,
    because the sampler had tried good students most often. fANOVA takes much longer.
    """
    measured = [
        (_relevant_params(trial.params, goal, objective), value)
        for trial in of_kind(trials, TrialKind.SEARCH)
        if (value := _value(trial, goal, objective)) is not None
    ]
    if len(measured) > _MAX_TRIALS:
        measured = random.Random(0).sample(measured, _MAX_TRIALS)  # noqa: S311 - no secret
    recipes, values = [recipe for recipe, _ in measured], [value for _, value in measured]
    params = _varying(recipes)
    if len(measured) < _MIN_TRIALS or not params:
        return {}
    return _forest_importances(recipes, values, params)


def trained_students(trials: Sequence[TrialRecord], goal: Goal) -> int:
    """Count the search's trials that trained their student and have a value of the metric."""
    return sum(
        trial.parent is None and _value(trial, goal, goal.metric.name) is not None
        for trial in of_kind(trials, TrialKind.SEARCH)
    )


def _relevant_params(params: Mapping[str, Scalar], goal: Goal, objective: str) -> dict[str, Scalar]:
    axes = None if objective == goal.metric.name else _COST_AXES
    return {
        name: value
        for name, value in params.items()
        if axes is None or name.partition(".")[0] in axes
    }


def _value(trial: TrialRecord, goal: Goal, objective: str) -> float | None:
    """Return the metric's utility or the logarithm of a cost: recipes change costs by factors."""
    if trial.outcome is None:
        return None
    if objective == goal.metric.name:
        return goal.utility(trial.outcome)
    # A trial that was never trained may have a cost too.
    value = (trial.outcome.cost or {}).get(objective)
    return math.log10(value) if value else None


def _varying(recipes: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Return the values of each parameter that has more than one distinct value."""
    values: dict[str, list[Scalar]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            values.setdefault(name, []).append(value)
    return {name: present for name, present in values.items() if len(set(present)) > 1}


def _forest_importances(
    recipes: Sequence[Mapping[str, Scalar]],
    values: Sequence[float],
    params: Mapping[str, Sequence[Scalar]],
) -> dict[str, float]:
    # Importing Optuna takes a second, and only this function needs it.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(present) for name, present in params.items()}
    defaults = {name: _middle(present) for name, present in params.items()}
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            params={name: recipe.get(name, defaults[name]) for name in distributions},
            distributions=distributions,
            value=value,
        )
        for recipe, value in zip(recipes, values, strict=True)
    )
    forest = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(
        n_trees=_TREES, max_depth=_DEPTH, seed=0
    )
    found = optuna.importance.get_param_importances(study, evaluator=forest)
    return {str(name): float(share) for name, share in found.items()}


def _middle(values: Sequence[Scalar]) -> Scalar:
    """Return the median of numbers, else the most frequent value."""
    numbers = [value for value in values if not isinstance(value, bool | str)]
    return median_low(numbers) if len(numbers) == len(values) else mode(values)


def _distribution(values: Sequence[Scalar]) -> "BaseDistribution":
    """Return the range of the values; the searched range may be wider, but is not always known."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if any(isinstance(value, bool | str) for value in values):
        return CategoricalDistribution(sorted(set(values), key=str))
    numbers = [float(value) for value in values]
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high / low > _WIDE
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)
