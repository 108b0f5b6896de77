"""The choice of trials: the frontier, and the best trial within a budget.

These are pure functions on records. The command line, the dashboard and the report all use them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

import numpy as np

from search.errors import NoStudentFits
from search.objectives.budget import Budget, total_violation
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.records import Cost, Quality, Scalar, TrialKind, TrialRecord, TrialState

Point = tuple[float, ...]
"""The objectives of a trial: 1 - utility, then the goal's costs; less is better in each."""
_RecipeKey: TypeAlias = tuple[tuple[str, Scalar], ...]


def frontier(trials: Iterable[TrialRecord], goal: Goal) -> list[TrialRecord]:
    """Return the trials that no other trial dominates, sorted by cost.

    Only complete trials within their study's budget and with a value of the metric count. Among
    trials with equal objectives, the earliest is returned. A cost that was not measured counts as
    infinite. The trials are sorted by the goal's first cost, then by its next ones.
    """
    candidates = sorted(
        (
            (trial.number, point, trial)
            for trial in trials
            if (point := point_of(trial, goal)) is not None and _is_feasible(trial)
        ),
        key=lambda candidate: candidate[0],
    )
    if not candidates:
        return []
    costs_first = np.array([(*point[1:], point[0]) for _, point, _ in candidates])
    return [candidates[place][2] for place in non_dominated(costs_first)]


def best(
    trials: Iterable[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> TrialRecord | None:
    """Return the complete trial within the budget with the best metric; None if there is none.

    If finalists are within the budget, the result is one of them: of the recipe with the best mean
    over its seeds, the best seed. Among equally good trials, the result is the cheapest by the
    goal's costs in their order, then the earliest. A refit has no value on validation images, so it
    is never the result; `search.analysis.finals.shipped` returns the refit of the result.

    Args:
        trials: the trials of one study.
        budget: the budget; it may differ from the study's.
        goal: the study's goal.
        floor: the worst acceptable value of the goal's metric; None accepts any.
    """
    fitting = ranked(trials, budget, goal, floor=floor)
    finals = [trial for trial in fitting if trial.kind is TrialKind.FINAL]
    return next(iter(finals or fitting), None)


def ranked(
    trials: Iterable[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> list[TrialRecord]:
    """Return the complete trials within the budget, the best first; see `best`."""
    least = 0.0 if floor is None else goal.metric.utility(floor)
    complete = [(point, trial) for trial in trials if (point := point_of(trial, goal)) is not None]
    means = _mean_losses(complete)
    candidates = sorted(
        (
            (_mean_loss(trial, point, means), point, trial.number, trial)
            for point, trial in complete
            if point[0] <= 1 - least and budget.surely_admits(cost_of(trial))
        ),
        key=lambda candidate: candidate[:3],
    )
    return [candidate[3] for candidate in candidates]


def _mean_loss(trial: TrialRecord, point: Point, means: Mapping[_RecipeKey, float]) -> float:
    """Return 1 - utility: the mean over its recipe's seeds for a finalist, else the trial's own."""
    return means[_recipe(trial)] if trial.kind is TrialKind.FINAL else point[0]


def _mean_losses(complete: Sequence[tuple[Point, TrialRecord]]) -> dict[_RecipeKey, float]:
    """Return the mean of 1 - utility over the seeds of each finalist's recipe."""
    losses = defaultdict(list)
    for point, trial in complete:
        if trial.kind is TrialKind.FINAL:
            losses[_recipe(trial)].append(point[0])
    return {recipe: fmean(values) for recipe, values in losses.items()}


def _recipe(trial: TrialRecord) -> _RecipeKey:
    return tuple(sorted(trial.params.items()))


def chosen(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> TrialRecord:
    """Return the same trial as `best`, but raise an error if there is none.

    Raises:
        NoStudentFits: no trial is within the budget; the message names the nearest one.
    """
    if found := best(trials, budget, goal, floor=floor):
        return found
    if floor is not None and (most := best(trials, budget, goal)):
        metric = goal.metric
        raise NoStudentFits(
            f"no student within the budget reaches {metric.label} {metric.format(floor)}. The best "
            f"is trial {most.number} with {metric.format(value_of(most, goal))}"
        )
    miss = nearest_miss(trials, budget)
    if miss is None:
        if any(point_of(trial, goal) for trial in trials):
            raise NoStudentFits(
                f"no student of {len(trials)} trials is known to fit the budget ({budget}): every "
                "student that may fit lacks a measurement of a limited cost"
            )
        raise NoStudentFits(
            f"none of {len(trials)} trials ended with a student: `retort trials` shows the reasons"
        )
    raise NoStudentFits(
        f"no student of {len(trials)} trials fits the budget ({budget}). The nearest is trial "
        f"{miss.number}: {budget.explain(cost_of(miss))}. Raise the budget, or open smaller "
        "students and higher pruning ratios"
    )


def nearest_miss(trials: Iterable[TrialRecord], budget: Budget) -> TrialRecord | None:
    """Return the measured trial that exceeds the budget by the least; None if none exceeds it.

    The distance is the sum of the relative excesses over all broken limits. Among equal trials, the
    result is the earliest. A cost that was not measured adds nothing to the distance.
    """
    misses = (
        (excess, trial.number, trial)
        for trial in trials
        if trial.outcome is not None
        and trial.outcome.cost is not None
        and (excess := total_violation(budget.violations(trial.outcome.cost))) > 0
    )
    nearest = min(misses, key=lambda miss: miss[:2], default=None)
    return None if nearest is None else nearest[2]


def point_of(trial: TrialRecord, goal: Goal) -> Point | None:
    """Return a complete trial's objectives; None for other trials, or without the metric."""
    if trial.state is not TrialState.COMPLETE or trial.outcome is None:
        return None
    return goal.point(trial.outcome)


def value_of(trial: TrialRecord, goal: Goal) -> float:
    """Return the value of the goal's metric for a trial with a measured student."""
    value = None if trial.outcome is None else goal.value(trial.outcome)
    assert value is not None
    return value


def quality_of(trial: TrialRecord) -> Quality:
    """Return a trial's metrics on validation images; empty if none was measured."""
    return {} if trial.outcome is None else trial.outcome.quality


def cost_of(trial: TrialRecord) -> Cost:
    """Return the cost of a trial with a measured student."""
    assert trial.outcome is not None
    assert trial.outcome.cost is not None
    return trial.outcome.cost


def _is_feasible(trial: TrialRecord) -> bool:
    return trial.outcome is not None and total_violation(trial.outcome.violations) == 0
