"""The results of the trials so far, as the sampler `gp` uses them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

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
    """All proposed recipes, grouped by their results, until the reader reads again.

    Attributes:
        ended: trials with a final utility, and trials that were stopped early, in the order in
            which they ended.
        pending: recipes of running trials.
        under_way: further recipes that are being made, such as branches.
        tried: all recipes of this study, whatever their result, but for those under way; none is
            proposed again. They are in the order of their numbers.
    """

    ended: Sequence[EndedTrial]
    pending: tuple[Recipe, ...]
    under_way: tuple[Recipe, ...]
    tried: dict[Recipe, None]

    @property
    def running(self) -> tuple[Recipe, ...]:
        """All recipes without a result."""
        return (*self.pending, *self.under_way)


class HistoryReader:
    """Reader of Optuna's trials, which reads each ended trial once."""

    def __init__(self) -> None:
        self._ended: list[EndedTrial] = []
        self._tried: dict[Recipe, None] = {}
        self._open: list[int] = []
        self._read = 0

    def read(self, trials: Sequence[FrozenTrial], under_way: Iterable[Recipe] = ()) -> History:
        """Return the history so far; trials without a whole recipe are left out.

        Args:
            trials: all trials of an Optuna study, in the order of their numbers.
            under_way: recipes that are being made but are not yet trials.
        """
        pending: list[Recipe] = []
        ended: list[tuple[datetime, EndedTrial]] = []
        still_open: list[int] = []
        for number in (*self._open, *range(self._read, len(trials))):
            trial = trials[number]
            recipe = _recipe(trial.params)
            if recipe and not trial.user_attrs.get(ELSEWHERE):
                self._tried.setdefault(recipe)
            if trial.datetime_complete is None:
                still_open.append(number)
                pending += [recipe] if recipe else []
            elif recipe and (result := _result(trial, recipe)):
                ended.append((trial.datetime_complete, result))
        self._open, self._read = still_open, len(trials)
        self._ended += [result for _, result in sorted(ended, key=lambda each: each[0])]
        return History(self._ended, tuple(pending), tuple(under_way), self._tried)


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


def _result(trial: FrozenTrial, recipe: Recipe) -> EndedTrial | None:
    """Return the result of an ended trial; None if it tells nothing about its utility."""
    curve: Curve = trial.user_attrs.get(CURVE, ())
    if trial.state is OptunaState.COMPLETE:
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
    if not curve:
        return None
    share, reached = curve[-1]
    return StoppedTrial(recipe, reached, share)
