"""How much each parameter of the recipes matters for what came of them."""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search.records import Scalar, TrialRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

OBJECTIVES = ("accuracy", "size_bytes", "latency_ms")

# Fewer say nothing about a parameter; more say little that is new, and take seconds.
_FEWEST, _MOST = 12, 2000
# A range of numbers above 0 that spans more was searched, or is better seen, in logarithms.
_WIDE = 20.0


def importances(trials: Sequence[TrialRecord], objective: str) -> dict[str, float]:
    """Each parameter's share of what decides whether a trial is among the best tenth.

    Args:
        trials: of one study.
        objective: one of OBJECTIVES.

    Returns:
        Shares by parameter that sum to 1, the greatest first; empty where fewer than 12 trials
        have the objective. A parameter that was the same in all of them is left out.

    Source: PED-ANOVA, Watanabe et al. 2023, arXiv:2304.10255, as Optuna has it, with what it adds
    for parameters of only some methods.
    """
    measured = [
        (trial, value) for trial in trials if (value := _value(trial, objective)) is not None
    ]
    if len(measured) > _MOST:
        measured = random.Random(0).sample(measured, _MOST)  # noqa: S311 - no secret
    params = _varying([trial.params for trial, _ in measured])
    if len(measured) < _FEWEST or not params:
        return {}
    return _evaluated([trial.params for trial, _ in measured], [v for _, v in measured], params)


def _value(trial: TrialRecord, objective: str) -> float | None:
    """What is to be made small; a cost also of a trial that was never trained."""
    if trial.outcome is None:
        return None
    if objective == "accuracy":
        quality = trial.outcome.quality
        return None if quality is None else -quality.accuracy
    value: float | None = getattr(trial.outcome.cost, objective, None)
    return value


def _varying(recipes: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """The values of each parameter that occurs with more than one."""
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
    # Optuna takes a second to import, which only this needs.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    domains = {name: _domain(held) for name, held in params.items()}
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            params={name: recipe[name] for name in domains if name in recipe},
            distributions={name: domains[name] for name in domains if name in recipe},
            value=value,
        )
        for recipe, value in zip(recipes, values, strict=True)
    )
    found = optuna.importance.get_param_importances(study)
    return {str(name): float(share) for name, share in found.items()}


def _domain(values: Sequence[Scalar]) -> "BaseDistribution":
    """Where the values lie: the space that was searched may be wider, and is not known for all."""
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
