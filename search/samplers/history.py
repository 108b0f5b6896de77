"""The utilities of the trials so far: finished ones in full, stopped ones by their curve."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from search.samplers.curve_extrapolation import ENOUGH, Ending, foreseen_ending
from search.samplers.logit_scale import to_logits
from spaces.axes.order import AXES
from spaces.distributions import Scalar
from spaces.recipe import Recipe

# User attribute of a trial: its learning curve, [share of its epochs, utility] for each point.
CURVE = "curve"

# User attribute of a trial: whether its student is another study's, and not yet made in this one.
ELSEWHERE = "elsewhere"

# The gain after a stop, used before finished curves can predict it: in logits, for each
# natural logarithm of training time, and its standard deviation.
_GAIN, _GAIN_DEVIATION = 0.4, 0.4

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class FinishedTrial:
    """A trial with its final utility and its costs, in the order of the goal's costs.

    `feasible`: it broke no limit. `elsewhere`: this study has no such student yet.
    """

    params: Mapping[str, Scalar]
    recipe: Recipe
    utility: float
    costs: tuple[float, ...]
    feasible: bool
    curve: Curve
    elsewhere: bool = False


@dataclass(frozen=True)
class StoppedTrial:
    """A trial that ended early: its utility at the given share of its epochs."""

    recipe: Recipe
    utility: float
    share: float


@dataclass(frozen=True)
class History:
    """All proposed recipes, sorted by their results.

    `under_way` holds recipes that are being made beside the pending trials. `tried` holds every
    recipe, whatever its result in this study, so that none is proposed again.
    """

    finished: tuple[FinishedTrial, ...]
    stopped: tuple[StoppedTrial, ...]
    pending: tuple[Recipe, ...]
    under_way: tuple[Recipe, ...]
    tried: tuple[Recipe, ...]


def read_history(trials: Iterable[FrozenTrial], under_way: Iterable[Recipe] = ()) -> History:
    """Convert Optuna's trials to this project's terms; skip trials that hold no whole recipe.

    Args:
        trials: of a study.
        under_way: recipes that are being made beside them.
    """
    finished: list[FinishedTrial] = []
    stopped: list[StoppedTrial] = []
    pending: list[Recipe] = []
    tried: list[Recipe] = []
    for trial in trials:
        recipe = _recipe(trial.params)
        if recipe is None:
            continue
        if not trial.user_attrs.get(ELSEWHERE):
            tried.append(recipe)
        curve: Curve = trial.user_attrs.get(CURVE, ())
        if trial.state is OptunaState.COMPLETE:
            finished.append(_finished(trial, recipe, curve))
        elif trial.state is OptunaState.RUNNING:
            pending.append(recipe)
        elif curve:
            share, utility = curve[-1]
            stopped.append(StoppedTrial(recipe, utility, share))
    beside = tuple(under_way)
    return History(tuple(finished), tuple(stopped), tuple(pending), beside, (*tried, *beside))


def ending_of(stopped: StoppedTrial, finished: Sequence[FinishedTrial]) -> Ending:
    """Predict how a stopped trial would have ended, compression included.

    The prediction uses what finished trials had reached after the same share of their epochs.
    """
    (reached,) = to_logits(np.array([stopped.utility])).tolist()
    ended = [(_at(stopped.share, one.curve), one.utility) for one in finished if one.curve]
    if len(ended) >= ENOUGH:
        return foreseen_ending(reached, to_logits(np.array(ended)).tolist())
    missing = -math.log(min(max(stopped.share, 0.01), 1.0))
    return Ending(reached + _GAIN * missing, 0.05 + (_GAIN_DEVIATION * missing) ** 2)


def _recipe(params: Mapping[str, Scalar]) -> Recipe | None:
    return _known_recipe(frozenset(params.items()))


@cache
def _known_recipe(items: frozenset[tuple[str, Scalar]]) -> Recipe | None:
    params = dict(items)
    if any(axis.axis not in params for axis in AXES):
        return None
    try:
        return Recipe.from_params(params)
    except ValueError:  # from an older study, whose methods had other parameters
        return None


def _finished(trial: FrozenTrial, recipe: Recipe, curve: Curve) -> FinishedTrial:
    utility, *costs = trial.values
    return FinishedTrial(
        params=trial.params,
        recipe=recipe,
        utility=utility,
        costs=tuple(costs),
        feasible=all(excess <= 0 for excess in trial.constraints.values()),
        curve=curve,
        elsewhere=bool(trial.user_attrs.get(ELSEWHERE)),
    )


def _at(share: float, curve: Curve) -> float:
    """Return the utility at the point of the curve that is nearest to the share."""
    return min(curve, key=lambda point: abs(point[0] - share))[1]
