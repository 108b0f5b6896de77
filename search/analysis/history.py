"""How a search went: what its best students were worth, trial by trial. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from search.analysis.pareto import frontier, hypervolume
from search.analysis.recommend import accuracy_of, cost_of
from search.objectives.budget import Budget
from search.records import TrialRecord, TrialState

# As many moments as a picture can show apart.
_MOST = 200


@dataclass(frozen=True, kw_only=True)
class HistoryPoint:
    """What a search had when so many of its trials had ended.

    Attributes:
        ended: trials.
        hours: since the first one started.
        best: the highest accuracy within the budget, 0 to 1; None before there was one.
        hypervolume: the share of the box of error, bytes and latency, from nothing up to all, the
            budget's bounds and these, that some student betters.
    """

    ended: int
    hours: float
    best: float | None
    hypervolume: float


def history(trials: Sequence[TrialRecord], budget: Budget) -> list[HistoryPoint]:
    """A moment for each student that was on the frontier when it was made, and one for the last.

    Of more than 200 such students, neighbours share a moment.

    Args:
        trials: of one study.
        budget: its own; a cost that it leaves free is bounded by the highest among the students
            that were ever on the frontier.
    """
    ended = sorted(
        (trial for trial in trials if trial.finished_at is not None),
        key=lambda trial: (trial.finished_at, trial.number),
    )
    if not ended:
        return []
    start = min(trial.started_at for trial in trials)
    students = [
        (count, trial)
        for count, trial in enumerate(ended, start=1)
        if trial.state is TrialState.COMPLETE and budget.admits(cost_of(trial))
    ]
    joined = _that_joined(students)
    bounds = _bounds([trial for _, trial in joined], budget)
    moments = [HistoryPoint(ended=0, hours=0.0, best=None, hypervolume=0.0)]
    members: list[TrialRecord] = []
    for stretch in _stretches(joined):
        members = frontier([*members, *(trial for _, trial in stretch)])
        count, last = stretch[-1]
        moments.append(_moment(count, last, start, members, bounds))
    return [*moments, _moment(len(ended), ended[-1], start, members, bounds)]


def _moment(
    count: int,
    last: TrialRecord,
    start: datetime,
    members: Sequence[TrialRecord],
    bounds: tuple[float, float],
) -> HistoryPoint:
    assert last.finished_at is not None
    return HistoryPoint(
        ended=count,
        hours=(last.finished_at - start).total_seconds() / 3600,
        best=max(map(accuracy_of, members), default=None),
        hypervolume=hypervolume((_point(member, bounds) for member in members), (1.0, 1.0, 1.0)),
    )


def _that_joined(
    students: Iterable[tuple[int, TrialRecord]],
) -> list[tuple[int, TrialRecord]]:
    """Those that no earlier one was as good as in accuracy, size and latency together."""
    best: list[tuple[float, float, float]] = []
    joined = []
    for count, trial in students:
        error, size, latency = _point(trial, (1.0, 1.0))
        if any(one <= error and two <= size and three <= latency for one, two, three in best):
            continue
        best = [
            (one, two, three)
            for one, two, three in best
            if not (error <= one and size <= two and latency <= three)
        ]
        best.append((error, size, latency))
        joined.append((count, trial))
    return joined


def _stretches(
    joined: Sequence[tuple[int, TrialRecord]],
) -> Iterator[Sequence[tuple[int, TrialRecord]]]:
    """One trial each; of very many several, so that a picture of them takes no minutes."""
    length = max(1, math.ceil(len(joined) / _MOST))
    for place in range(0, len(joined), length):
        yield joined[place : place + length]


def _bounds(students: Sequence[TrialRecord], budget: Budget) -> tuple[float, float]:
    """The largest size and latency that count."""
    sizes = [float(cost_of(trial).size_bytes) for trial in students]
    latencies = [cost_of(trial).latency_ms or 0.0 for trial in students]
    limits = budget.limits()
    # A hair above the highest, or the student that has it would span nothing.
    size = limits.get("size_bytes", max(sizes, default=1.0) * 1.01)
    latency = limits.get("latency_ms", max(latencies, default=1.0) * 1.01)
    return size or 1.0, latency or 1.0


def _point(trial: TrialRecord, bounds: tuple[float, float]) -> tuple[float, float, float]:
    cost = cost_of(trial)
    # A latency that was not measured counts as the longest.
    latency = math.inf if cost.latency_ms is None else cost.latency_ms
    return (1 - accuracy_of(trial), cost.size_bytes / bounds[0], latency / bounds[1])
