"""The influence of each recipe parameter on an objective."""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import median_low, mode
from typing import TYPE_CHECKING

from search.objectives.goal import Goal
from search.records import Scalar, TrialRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Fewer trials say nothing about a parameter; more add little, and take seconds.
_FEWEST, _MOST = 12, 2000
# Deeper trees separate single trials, and credit whichever parameter separates them.
_TREES, _DEPTH = 64, 6
_OF_SHAPES = ("student", "pruning", "quantization")
# A range above 0 that spans a larger factor was searched, or is clearer, on a log scale.
_WIDE = 20.0


def importances(trials: Sequence[TrialRecord], goal: Goal, objective: str) -> dict[str, float]:
    """Return each parameter's importance to a random forest that predicts the objective.

    A cost depends on shapes, which training and distillation leave unchanged: for a cost, only
    the other axes count.

    Args:
        trials: of one study.
        goal: of the study.
        objective: the name of the goal's metric, or the stored name of a cost.

    Returns:
        Shares by parameter that sum to 1, the greatest first; empty where fewer than 12 trials
        have the objective. A parameter that was the same in all trials is left out. Where a trial's
        methods lack a parameter, it counts as the median of the other trials.

    Source: mean decrease of impurity, Breiman 2001, Random Forests, as Optuna has it. PED-ANOVA and
    fANOVA were tried on a search of retort's own: the first called the student unimportant, because
    the sampler had tried the good ones most; the second takes much longer.
    """
    measured = [
        (_weighed(trial.params, goal, objective), value)
        for trial in trials
        if (value := _value(trial, goal, objective)) is not None
    ]
    if len(measured) > _MOST:
        measured = random.Random(0).sample(measured, _MOST)  # noqa: S311 - no secret
    recipes, values = [recipe for recipe, _ in measured], [value for _, value in measured]
    params = _varying(recipes)
    if len(measured) < _FEWEST or not params:
        return {}
    return _evaluated(recipes, values, params)


def trained_students(trials: Sequence[TrialRecord], goal: Goal) -> int:
    """Count the trials that trained a student whose metric is known; others share theirs."""
    return sum(
        trial.parent is None and _value(trial, goal, goal.metric.name) is not None
        for trial in trials
    )


def _weighed(params: Mapping[str, Scalar], goal: Goal, objective: str) -> dict[str, Scalar]:
    axes = None if objective == goal.metric.name else _OF_SHAPES
    return {
        name: value
        for name, value in params.items()
        if axes is None or name.partition(".")[0] in axes
    }


def _value(trial: TrialRecord, goal: Goal, objective: str) -> float | None:
    """Return the metric's utility, or a cost's logarithm: recipes change costs by factors."""
    if trial.outcome is None:
        return None
    if objective == goal.metric.name:
        return goal.utility(trial.outcome)
    # A trial that was never trained has a cost, too.
    value = (trial.outcome.cost or {}).get(objective)
    return math.log10(value) if value else None


def _varying(recipes: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Return the values of each parameter that occurs with more than one value."""
    values: dict[str, list[Scalar]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            values.setdefault(name, []).append(value)
    return {name: held for name, held in values.items() if len(set(held)) > 1}


def _evaluated(
    recipes: Sequence[Mapping[str, Scalar]],
    values: Sequence[float],
    params: Mapping[str, Sequence[Scalar]],
) -> dict[str, float]:
    # Optuna takes a second to import, and only this function needs it.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(held) for name, held in params.items()}
    usual = {name: _middle(held) for name, held in params.items()}
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            params={name: recipe.get(name, usual[name]) for name in distributions},
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
    """Return the range of the values: the searched space may be wider, but is not always known."""
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
