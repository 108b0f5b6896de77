"""What the trials so far say of accuracy: finished ones in full, stopped ones by their curve."""

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

# User attribute of a trial: its learning curve, [share of its epochs, accuracy] for each point.
CURVE = "curve"

# User attribute of a trial: whether its student is another study's, and still to be made in this.
ELSEWHERE = "elsewhere"

# Before finished curves tell how much is to be gained after a stop: the gain, in logits, for each
# natural logarithm of training time, and its standard deviation.
_GAIN, _GAIN_DEVIATION = 0.4, 0.4

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class FinishedTrials:
    """A trial with its final accuracy and its measured cost.

    `feasible`: it broke no limit. `elsewhere`: this study has no such student yet.
    """

    params: Mapping[str, Scalar]
    recipe: Recipe
    accuracy: float
    size_bytes: float
    latency_ms: float
    feasible: bool
    curve: Curve
    elsewhere: bool = False


@dataclass(frozen=True)
class StoppedTrials:
    """A trial that ended early: its accuracy at the given share of its epochs."""

    recipe: Recipe
    accuracy: float
    share: float


@dataclass(frozen=True)
class History:
    """All that was proposed, sorted by what became of it.

    `under_way` is what is being made beside the pending trials. `tried` holds every recipe,
    whatever became of it in this study, so that none is proposed again.
    """

    finished: tuple[FinishedTrials, ...]
    stopped: tuple[StoppedTrials, ...]
    pending: tuple[Recipe, ...]
    under_way: tuple[Recipe, ...]
    tried: tuple[Recipe, ...]


def read_history(trials: Iterable[FrozenTrial], under_way: Iterable[Recipe] = ()) -> History:
    """Optuna's trials, told in this project's words. Trials that hold no whole recipe are none.

    Args:
        trials: of a study.
        under_way: what is being made beside them.
    """
    finished: list[FinishedTrials] = []
    stopped: list[StoppedTrials] = []
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
            share, accuracy = curve[-1]
            stopped.append(StoppedTrials(recipe, accuracy, share))
    beside = tuple(under_way)
    return History(tuple(finished), tuple(stopped), tuple(pending), beside, (*tried, *beside))


def ending_of(stopped: StoppedTrials, finished: Sequence[FinishedTrials]) -> Ending:
    """What a stopped trial would have come to, compression included.

    Finished trials tell, by what they had reached after the same share of their epochs.
    """
    (reached,) = to_logits(np.array([stopped.accuracy])).tolist()
    ended = [(_at(stopped.share, one.curve), one.accuracy) for one in finished if one.curve]
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
    except ValueError:  # of an older study, whose methods had other parameters
        return None


def _finished(trial: FrozenTrial, recipe: Recipe, curve: Curve) -> FinishedTrials:
    accuracy, size_bytes, latency_ms = trial.values
    return FinishedTrials(
        params=trial.params,
        recipe=recipe,
        accuracy=accuracy,
        size_bytes=size_bytes,
        latency_ms=latency_ms,
        feasible=all(excess <= 0 for excess in trial.constraints.values()),
        curve=curve,
        elsewhere=bool(trial.user_attrs.get(ELSEWHERE)),
    )


def _at(share: float, curve: Curve) -> float:
    """The accuracy at the point of the curve that is nearest to the share."""
    return min(curve, key=lambda point: abs(point[0] - share))[1]
