"""The results of the trials so far, as the sampler `gp` uses them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from search.samplers.curve_extrapolation import ENOUGH, Ending, predicted_ending
from search.samplers.logit_scale import to_logits
from spaces.axes.order import AXES
from spaces.distributions import Scalar
from spaces.recipe import Recipe

# The user attribute with a trial's learning curve: [share of its epochs, utility] for each point.
CURVE = "curve"

# The user attribute that marks a trial of another study; this study may try the recipe too.
ELSEWHERE = "elsewhere"

# The gain after an early stop while too few finished curves exist: in logits, for each unit of the
# natural logarithm of training time, and its standard deviation.
_GAIN, _GAIN_DEVIATION = 0.4, 0.4

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial.

    Attributes:
        params: the recipe's flat parameters.
        recipe: the recipe.
        utility: the final utility, 0 to 1.
        costs: the costs, in the order of the goal's costs.
        feasible: whether it breaks no limit.
        curve: the learning curve; may be empty.
        elsewhere: whether another study made the student.
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
    """A trial that was stopped early: its last utility, at a share of its epochs."""

    recipe: Recipe
    utility: float
    share: float


@dataclass(frozen=True)
class History:
    """All proposed recipes, grouped by their results.

    Attributes:
        finished: trials with a final utility.
        stopped: trials that were stopped early.
        pending: recipes of running trials.
        under_way: further recipes that are being made, such as branches.
        tried: all recipes of this study, whatever their result; none is proposed again.
    """

    finished: tuple[FinishedTrial, ...]
    stopped: tuple[StoppedTrial, ...]
    pending: tuple[Recipe, ...]
    under_way: tuple[Recipe, ...]
    tried: tuple[Recipe, ...]


def read_history(trials: Iterable[FrozenTrial], under_way: Iterable[Recipe] = ()) -> History:
    """Convert Optuna's trials to a history; skip trials without a whole recipe.

    Args:
        trials: all trials of an Optuna study.
        under_way: recipes that are being made but are not yet trials.
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
    others = tuple(under_way)
    return History(tuple(finished), tuple(stopped), tuple(pending), others, (*tried, *others))


def ending_of(stopped: StoppedTrial, finished: Sequence[FinishedTrial]) -> Ending:
    """Predict the utility that a stopped trial would have reached, after compression.

    The prediction uses the utilities of finished trials at the same share of their epochs.
    """
    (reached,) = to_logits(np.array([stopped.utility])).tolist()
    ended = [(_at(stopped.share, one.curve), one.utility) for one in finished if one.curve]
    if len(ended) >= ENOUGH:
        return predicted_ending(reached, to_logits(np.array(ended)).tolist())
    log_remaining = -math.log(min(max(stopped.share, 0.01), 1.0))
    return Ending(reached + _GAIN * log_remaining, 0.05 + (_GAIN_DEVIATION * log_remaining) ** 2)


def _recipe(params: Mapping[str, Scalar]) -> Recipe | None:
    return _known_recipe(frozenset(params.items()))


@cache
def _known_recipe(items: frozenset[tuple[str, Scalar]]) -> Recipe | None:
    params = dict(items)
    if any(axis.axis not in params for axis in AXES):
        return None
    try:
        return Recipe.from_params(params)
    except ValueError:  # a recipe of an older study, whose methods had other parameters
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
    """Return the utility of the curve's point that is nearest to the share."""
    return min(curve, key=lambda point: abs(point[0] - share))[1]
