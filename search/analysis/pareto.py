"""The frontier of a study's trials, and the objectives of a trial.

These are pure functions on records. The command line, the dashboard and the report all use them.
"""

from collections.abc import Iterable

import numpy as np

from search.objectives.budget import Budget, total_violation
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.records import Cost, Quality, TrialRecord, TrialState

Point = tuple[float, ...]
"""The objectives of a trial: 1 - utility, then the goal's costs; less is better in each."""


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


def nearest_miss(trials: Iterable[TrialRecord], budget: Budget) -> TrialRecord | None:
    """Return the measured trial that misses the budget by the least; None if none misses it.

    The distance is the sum of the violations of all broken limits and floors. Among equal trials,
    the result is the earliest. A value that was not measured adds nothing to the distance.
    """
    misses = (
        (violation, trial.number, trial)
        for trial in trials
        if trial.outcome is not None
        and trial.outcome.cost is not None
        and (violation := total_violation(violations_of(trial, budget))) > 0
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


def violations_of(trial: TrialRecord, budget: Budget) -> dict[str, float]:
    """Return how much a trial with a measured student breaks each limit and floor of a budget."""
    return budget.violations(cost_of(trial), quality_of(trial))


def fits(trial: TrialRecord, budget: Budget) -> bool:
    """Return whether a trial's student is known to be within a budget: in costs and in quality."""
    if trial.outcome is None or trial.outcome.cost is None:
        return False
    return budget.surely_admits(trial.outcome.cost, trial.outcome.quality)


def _is_feasible(trial: TrialRecord) -> bool:
    return trial.outcome is not None and total_violation(trial.outcome.violations) == 0
