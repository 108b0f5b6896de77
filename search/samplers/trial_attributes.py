"""The user attributes of Optuna's trials, which hold what their values can't: curves and floors."""

from collections.abc import Sequence

from search.objectives.floors import Floor
from search.objectives.metric import Metric
from search.records import Outcome, TrialState
from search.samplers.history import CURVE, ELSEWHERE, FLOORS
from search.samplers.learning_curve import floor_curve, learning_curve
from spaces.recipe import Recipe


def trial_attributes(
    recipe: Recipe,
    outcome: Outcome,
    metric: Metric,
    floors: Sequence[Floor],
    *,
    branch: bool = False,
    elsewhere: bool = False,
) -> dict[str, object]:
    """Return the user attributes of an ended trial, as `HistoryReader` reads them.

    Only complete and stopped trials have curves. The curve of a branch is that of its trial.

    Args:
        recipe: the trial's recipe.
        outcome: its outcome.
        metric: the metric of the goal.
        floors: the budget's floors.
        branch: whether the student is a branch.
        elsewhere: whether another study made the student.
    """
    has_curve = outcome.state in (TrialState.COMPLETE, TrialState.STOPPED) and not branch
    epochs = outcome.epochs if has_curve else ()
    found: dict[str, object] = {}
    if curve := learning_curve(recipe, epochs, metric):
        found[CURVE] = curve
    if floors:
        found[FLOORS] = {
            floor.name: (_utility(floor, outcome), floor_curve(recipe, epochs, floor))
            for floor in floors
        }
    return found | ({ELSEWHERE: True} if elsewhere else {})


def _utility(floor: Floor, outcome: Outcome) -> float | None:
    value = floor.value(outcome.quality)
    return None if value is None else floor.metric.utility(value)
