"""The course of a search: how good its best students were, trial by trial. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from search.analysis.pareto import Point, cost_of, point_of, value_of
from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume, non_dominated
from search.objectives.goal import Goal
from search.records import TrialRecord

# More moments than this can't be told apart in a picture.
_MOST = 200
# With more objectives, the exact volumes of a long search's frontiers would take minutes.
_EXACT = 3
_SAMPLES = 2**16


@dataclass(frozen=True, kw_only=True)
class HistoryPoint:
    """The state of a search when this many of its trials had ended.

    Attributes:
        ended: trials that had ended.
        hours: since the first one started.
        best: the best value of the goal's metric within the budget; None before there was one.
        hypervolume: the share of the box of all objectives, from nothing up to the worst utility
            and the costs' bounds, that some student dominates. With more than three objectives,
            it is an estimate with a standard error of at most 0.002.
    """

    ended: int
    hours: float
    best: float | None
    hypervolume: float


@dataclass(frozen=True)
class _Joined:
    """A student that was on the frontier when its trial ended; `ended` counts the trials so far."""

    ended: int
    trial: TrialRecord
    point: Point


def history(trials: Sequence[TrialRecord], budget: Budget, goal: Goal) -> list[HistoryPoint]:
    """Return a moment for each student that joined the frontier, and one for the last trial.

    With more than 200 such students, neighbours share a moment.

    Args:
        trials: of one study.
        budget: the study's own; a cost that it leaves free is bounded by the highest among the
            students that were ever on the frontier.
        goal: the study's own.
    """
    ended = sorted(
        (trial for trial in trials if trial.finished_at is not None),
        key=lambda trial: (trial.finished_at, trial.number),
    )
    if not ended:
        return []
    start = min(trial.started_at for trial in trials)
    joined = _that_joined(ended, budget, goal)
    stretches = list(_stretches(joined))
    bounds = np.array([1.0, *_bounds(joined, budget, goal)])
    volumes = _volumes([np.array([one.point for one in stretch]) / bounds for stretch in stretches])
    moments = [HistoryPoint(ended=0, hours=0.0, best=None, hypervolume=0.0)]
    best: list[_Joined] = []
    for stretch, volume in zip(stretches, volumes, strict=True):
        best = [min([*best, *stretch], key=lambda one: one.point[0])]
        moments.append(
            HistoryPoint(
                ended=stretch[-1].ended,
                hours=_hours(stretch[-1].trial, start),
                best=value_of(best[0].trial, goal),
                hypervolume=volume,
            )
        )
    return [*moments, replace(moments[-1], ended=len(ended), hours=_hours(ended[-1], start))]


def _hours(trial: TrialRecord, start: datetime) -> float:
    assert trial.finished_at is not None
    return (trial.finished_at - start).total_seconds() / 3600


def _that_joined(ended: Sequence[TrialRecord], budget: Budget, goal: Goal) -> list[_Joined]:
    """Return the students that were dominated by no earlier one when they ended."""
    students = [
        _Joined(count, trial, point)
        for count, trial in enumerate(ended, start=1)
        if (point := point_of(trial, goal)) is not None and budget.admits(cost_of(trial))
    ]
    if not students:
        return []
    # With the order as the first column, only an earlier student can dominate.
    ordered = np.array([(one.ended, *one.point) for one in students])
    return [students[place] for place in non_dominated(ordered)]


def _stretches(joined: Sequence[_Joined]) -> Iterator[Sequence[_Joined]]:
    """Yield one trial each; several if there are very many, so that a picture takes no minutes."""
    length = max(1, math.ceil(len(joined) / _MOST))
    for place in range(0, len(joined), length):
        yield joined[place : place + length]


def _bounds(joined: Sequence[_Joined], budget: Budget, goal: Goal) -> list[float]:
    """Return the largest value of each minimised cost."""
    limits = budget.limits()
    found = []
    for limit in goal.costs:
        costs = [cost_of(one.trial).get(limit.cost, 0.0) for one in joined]
        # A little above the highest value, or the student that has it would span nothing.
        found.append(limits.get(limit.cost, max(costs, default=1.0) * 1.01) or 1.0)
    return found


def _volumes(stretches: Sequence[NDArray[np.floating]]) -> Iterator[float]:
    """Yield the dominated share of the unit box after each stretch of points, in turn.

    Args:
        stretches: groups of points, each [points, objectives].
    """
    if not stretches:
        return
    objectives = stretches[0].shape[1]
    if objectives <= _EXACT:
        front = np.empty((0, objectives))
        for points in stretches:
            front = np.concatenate([front, points])
            front = front[non_dominated(front)]
            yield hypervolume(front.tolist(), (1.0,) * objectives)
        return
    left = np.random.default_rng(0).random((_SAMPLES, objectives))
    for points in stretches:
        for point in points:
            left = left[(left < point).any(axis=1)]
        yield 1 - len(left) / _SAMPLES
