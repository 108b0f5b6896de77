"""The results of the trials so far, as the sampler `gp` uses them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Self

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from search.objectives.budget import total_violation
from spaces.axes.order import AXES
from spaces.distributions import Scalar
from spaces.recipe import Recipe

# The user attribute with a trial's learning curve: [share of its epochs, utility] for each point.
CURVE = "curve"

# The user attribute with the values that floors bound, by the names of the floors: the utility of
# the finished student, or None, and the learning curve.
FLOORS = "floors"

# The user attribute that marks a trial of another study; this study may try the recipe too.
ELSEWHERE = "elsewhere"

Curve = Sequence[tuple[float, float]]

# The violation of a floor whose value is unknown: that of the worst possible value.
_UNKNOWN = 1.0


@dataclass(frozen=True)
class FloorValue:
    """A value that a floor bounds: the utility of a finished student, and the learning curve."""

    utility: float
    curve: Curve = ()


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial.

    Attributes:
        params: the recipe's flat parameters.
        recipe: the recipe.
        utility: the final utility, 0 to 1.
        costs: the costs, in the order of the goal's costs.
        violation: the sum of the violations of all broken limits and floors; an unknown value
            counts as the worst one.
        curve: the learning curve; may be empty.
        elsewhere: whether another study made the student.
        floors: the values with floors, by the names of the floors.
    """

    params: Mapping[str, Scalar]
    recipe: Recipe
    utility: float
    costs: tuple[float, ...]
    violation: float
    curve: Curve
    elsewhere: bool = False
    floors: Mapping[str, FloorValue] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it is within the budget."""
        return self.violation == 0

    def on_floor(self, name: str) -> Self | None:
        """Return the trial with the value of a floor as its utility; None if it is unknown."""
        found = self.floors.get(name)
        if found is None:
            return None
        return replace(self, utility=found.utility, curve=found.curve)


@dataclass(frozen=True)
class StoppedTrial:
    """A trial that was stopped early: its last utility, at a share of its epochs.

    `floors` are the last utilities of the values with floors, by the names of the floors.
    """

    recipe: Recipe
    utility: float
    share: float
    floors: Mapping[str, float] = field(default_factory=dict)

    def on_floor(self, name: str) -> Self | None:
        """Return the trial with the value of a floor as its utility; None if it is unknown."""
        found = self.floors.get(name)
        return None if found is None else replace(self, utility=found)


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
    """Reader of Optuna's trials, which reads each ended trial once.

    Args:
        floors: the names of the budget's floors.
    """

    def __init__(self, floors: Sequence[str] = ()) -> None:
        self._floors = floors
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
            elif recipe and (result := _result(trial, recipe, self._floors)):
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


def _result(trial: FrozenTrial, recipe: Recipe, names: Sequence[str]) -> EndedTrial | None:
    """Return the result of an ended trial; None if it tells nothing about its utility.

    Args:
        trial: the trial.
        recipe: its recipe.
        names: the names of the budget's floors.
    """
    curve: Curve = trial.user_attrs.get(CURVE, ())
    known: Mapping[str, tuple[float | None, Curve]] = trial.user_attrs.get(FLOORS, {})
    if trial.state is OptunaState.COMPLETE:
        utility, *costs = trial.values
        floors = {
            name: FloorValue(value, points)
            for name, (value, points) in known.items()
            if value is not None
        }
        unknown = sum(name not in floors for name in names)
        return FinishedTrial(
            params=trial.params,
            recipe=recipe,
            utility=utility,
            costs=tuple(costs),
            violation=total_violation(trial.constraints) + _UNKNOWN * unknown,
            curve=curve,
            elsewhere=bool(trial.user_attrs.get(ELSEWHERE)),
            floors=floors,
        )
    if not curve:
        return None
    share, reached = curve[-1]
    last = {name: points[-1][1] for name, (_, points) in known.items() if points}
    return StoppedTrial(recipe, reached, share, last)
