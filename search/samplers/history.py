"""The results of the trials so far, as the sampler `gp` uses them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from spaces.axes.order import AXES
from spaces.distributions import Scalar
from spaces.recipe import Recipe

# The user attribute with a trial's learning curve: [share of its epochs, utility] for each point.
CURVE = "curve"

# The user attribute that marks a trial of another study; this study may try the recipe too.
ELSEWHERE = "elsewhere"

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


EndedTrial = FinishedTrial | StoppedTrial


@dataclass(frozen=True)
class History:
    """All proposed recipes, grouped by their results.

    Attributes:
        ended: trials with a final utility, and trials that were stopped early, in the order in
            which they ended.
        pending: recipes of running trials.
        under_way: further recipes that are being made, such as branches.
        tried: all recipes of this study, whatever their result; none is proposed again.
    """

    ended: tuple[EndedTrial, ...]
    pending: tuple[Recipe, ...]
    under_way: tuple[Recipe, ...]
    tried: tuple[Recipe, ...]

    @cached_property
    def finished(self) -> tuple[FinishedTrial, ...]:
        """Trials with a final utility, in the order in which they ended."""
        return tuple(one for one in self.ended if isinstance(one, FinishedTrial))


def read_history(trials: Iterable[FrozenTrial], under_way: Iterable[Recipe] = ()) -> History:
    """Convert Optuna's trials to a history; skip trials without a whole recipe.

    Args:
        trials: all trials of an Optuna study.
        under_way: recipes that are being made but are not yet trials.
    """
    ended: list[tuple[datetime, EndedTrial]] = []
    pending: list[Recipe] = []
    tried: list[Recipe] = []
    for trial in trials:
        recipe = _recipe(trial.params)
        if recipe is None:
            continue
        if not trial.user_attrs.get(ELSEWHERE):
            tried.append(recipe)
        curve: Curve = trial.user_attrs.get(CURVE, ())
        if trial.state is OptunaState.RUNNING:
            pending.append(recipe)
            continue
        assert trial.datetime_complete is not None
        if trial.state is OptunaState.COMPLETE:
            ended.append((trial.datetime_complete, _finished(trial, recipe, curve)))
        elif curve:
            share, utility = curve[-1]
            ended.append((trial.datetime_complete, StoppedTrial(recipe, utility, share)))
    in_order = tuple(one for _, one in sorted(ended, key=lambda each: each[0]))
    others = tuple(under_way)
    return History(in_order, tuple(pending), others, (*tried, *others))


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
