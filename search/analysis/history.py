"""The history of a search: its best value and hypervolume over its trials. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from search.analysis.finals import of_kind
from search.analysis.pareto import Point, cost_of, point_of, quality_of, value_of
from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume, non_dominated
from search.objectives.goal import Goal
from search.records import TrialKind, TrialRecord

# The maximum number of points, since a picture can't show more.
_MAX_POINTS = 200
# With more objectives than this, the exact volumes of a long search would take minutes.
_MAX_EXACT_OBJECTIVES = 3
_SAMPLES = 2**16


@dataclass(frozen=True, kw_only=True)
class HistoryPoint:
    """The state of a search after some of its trials had ended.

    Attributes:
        ended: the number of trials that had ended.
        hours: the hours since the first trial started.
        best: the best value of the goal's metric within the budget; None if no student was within
            it.
        hypervolume: the share of the box of all objectives that the students dominate. The box
            reaches from 0 to the worst utility and to the costs' bounds. With more than three
            objectives, this is an estimate with a standard error of at most 0.002.
    """

    ended: int
    hours: float
    best: float | None
    hypervolume: float


@dataclass(frozen=True)
class _Joined:
    """A student that was on the frontier when its trial ended, and the number of ended trials."""

    ended: int
    trial: TrialRecord
    point: Point


def history(trials: Sequence[TrialRecord], budget: Budget, goal: Goal) -> list[HistoryPoint]:
    """Return a point for each student that joined the frontier, and one for the last trial.

    Only trials of the search count: finalists are trained longer.

    With more than 200 such students, consecutive students share a point.

    Args:
        trials: the trials of one study.
        budget: the study's budget. A cost without a limit is bounded by the highest cost of the
            students that were ever on the frontier.
        goal: the study's goal.
    """
    trials = of_kind(trials, TrialKind.SEARCH)
    ended = sorted(
        (trial for trial in trials if trial.finished_at is not None),
        key=lambda trial: (trial.finished_at, trial.number),
    )
    if not ended:
        return []
    start = min(trial.started_at for trial in trials)
    joined = _frontier_joiners(ended, budget, goal)
    groups = list(_groups(joined))
    bounds = np.array([1.0, *_bounds(joined, budget, goal)])
    volumes = _volumes([np.array([one.point for one in group]) / bounds for group in groups])
    points = [HistoryPoint(ended=0, hours=0.0, best=None, hypervolume=0.0)]
    best: list[_Joined] = []
    for group, volume in zip(groups, volumes, strict=True):
        best = [min([*best, *group], key=lambda one: one.point[0])]
        points.append(
            HistoryPoint(
                ended=group[-1].ended,
                hours=_hours(group[-1].trial, start),
                best=value_of(best[0].trial, goal),
                hypervolume=volume,
            )
        )
    return [*points, replace(points[-1], ended=len(ended), hours=_hours(ended[-1], start))]


def _hours(trial: TrialRecord, start: datetime) -> float:
    assert trial.finished_at is not None
    return (trial.finished_at - start).total_seconds() / 3600


def _frontier_joiners(ended: Sequence[TrialRecord], budget: Budget, goal: Goal) -> list[_Joined]:
    """Return the students that no earlier student dominated when their trial ended."""
    students = [
        _Joined(count, trial, point)
        for count, trial in enumerate(ended, start=1)
        if (point := point_of(trial, goal)) is not None
        and budget.admits(cost_of(trial), quality_of(trial))
    ]
    if not students:
        return []
    # The first column is the order, so that only an earlier student can dominate another.
    ordered = np.array([(one.ended, *one.point) for one in students])
    return [students[place] for place in non_dominated(ordered)]


def _groups(joined: Sequence[_Joined]) -> Iterator[Sequence[_Joined]]:
    """Yield at most 200 groups of consecutive students, so that a picture is drawn fast."""
    length = max(1, math.ceil(len(joined) / _MAX_POINTS))
    for place in range(0, len(joined), length):
        yield joined[place : place + length]


def _bounds(joined: Sequence[_Joined], budget: Budget, goal: Goal) -> list[float]:
    """Return the upper bound of each minimised cost."""
    limits = budget.limits()
    found = []
    for limit in goal.costs:
        costs = [cost_of(one.trial).get(limit.cost, 0.0) for one in joined]
        # 1% above the highest cost: otherwise the student with that cost would dominate no volume.
        found.append(limits.get(limit.cost, max(costs, default=1.0) * 1.01) or 1.0)
    return found


def _volumes(groups: Sequence[NDArray[np.floating]]) -> Iterator[float]:
    """Yield the dominated share of the unit box after each group of points.

    Args:
        groups: the groups in order, each [points, objectives].
    """
    if not groups:
        return
    objectives = groups[0].shape[1]
    if objectives <= _MAX_EXACT_OBJECTIVES:
        front = np.empty((0, objectives))
        for points in groups:
            front = np.concatenate([front, points])
            front = front[non_dominated(front)]
            yield hypervolume(front.tolist(), (1.0,) * objectives)
        return
    left = np.random.default_rng(0).random((_SAMPLES, objectives))
    for points in groups:
        for point in points:
            left = left[(left < point).any(axis=1)]
        yield 1 - len(left) / _SAMPLES
