"""Which trials are worth having: the frontier, the best within a budget, and how good a set is.

Pure functions on records. The command, the dashboard and the report all choose by these.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from search.errors import NoStudentFits
from search.objectives.budget import Budget, total_violation
from search.records import Cost, TrialRecord, TrialState


def frontier(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that no other one betters in accuracy, size and latency together, by size.

    Only complete trials inside their study's budget count. Of trials equal in all three the
    earliest is kept. A latency that was not measured counts as the longest.
    """
    candidates = sorted(
        (trial for trial in trials if _is_feasible(trial)),
        key=lambda trial: (_size(trial), _latency(trial), -_accuracy(trial), trial.number),
    )
    kept: list[TrialRecord] = []
    # Of the trials so far, none of which is larger: the latencies at which a higher accuracy
    # begins, and those accuracies. Both ascend.
    latencies: list[float] = []
    accuracies: list[float] = []
    for trial in candidates:
        latency, accuracy = _latency(trial), _accuracy(trial)
        faster = bisect_right(latencies, latency)
        if faster and accuracies[faster - 1] >= accuracy:
            continue
        kept.append(trial)
        start, end = bisect_left(latencies, latency), bisect_right(accuracies, accuracy)
        latencies[start:end] = [latency]
        accuracies[start:end] = [accuracy]
    return kept


def best(
    trials: Iterable[TrialRecord], budget: Budget, *, min_accuracy: float | None = None
) -> TrialRecord | None:
    """The most accurate complete trial within the budget; None where there is none.

    Of equally accurate ones the smallest, then the fastest, then the earliest. `budget` may
    differ from the study's: only what the trial costs is compared with it.
    """
    floor = -math.inf if min_accuracy is None else min_accuracy
    fitting = (
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and _accuracy(trial) >= floor
        and _fits(_cost(trial), budget)
    )
    return min(
        fitting,
        key=lambda trial: (-_accuracy(trial), _size(trial), _latency(trial), trial.number),
        default=None,
    )


def chosen(
    trials: Sequence[TrialRecord], budget: Budget, *, min_accuracy: float | None = None
) -> TrialRecord:
    """The best trial, as `best` finds it.

    Raises:
        NoStudentFits: there is none; the message names the nearest miss.
    """
    if found := best(trials, budget, min_accuracy=min_accuracy):
        return found
    if min_accuracy is not None and (most := best(trials, budget)):
        raise NoStudentFits(
            f"no student within the budget is that accurate: the best is trial {most.number} "
            f"with {_accuracy(most):.2%}"
        )
    miss = nearest_miss(trials, budget)
    if miss is None:
        raise NoStudentFits(
            f"none of {len(trials)} trials ended with a student: `retort trials` says why"
        )
    raise NoStudentFits(
        f"no student of {len(trials)} trials fits the budget ({budget}). The nearest is trial "
        f"{miss.number}: {budget.explain(_cost(miss))}. Raise the budget, or open smaller students "
        "and higher pruning ratios"
    )


def nearest_miss(trials: Iterable[TrialRecord], budget: Budget) -> TrialRecord | None:
    """The measured trial that breaks the budget by the least; None where none breaks it.

    What is compared is the sum over the broken limits of the relative excess. Of equal ones the
    earliest. A latency that was not measured adds nothing, so such a trial may be further off.
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


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that the points dominate, bounded by the reference; exact but for rounding.

    Args:
        points: two or three coordinates each, in which less is better (so 1 - accuracy, bytes,
            milliseconds). Points that do not better the reference in every coordinate add nothing.
        reference: the worst corner, as many coordinates.

    Returns:
        Area or volume, in the product of the coordinates' units; at most n log n comparisons.

    Raises:
        ValueError: another number of coordinates, or one that is NaN.

    Source: the sweep over one objective of Fonseca, Paquete and López-Ibáñez 2006, An Improved
    Dimension-Sweep Algorithm for the Hypervolume Indicator, section III.
    """
    if len(reference) not in (2, 3) or any(math.isnan(value) for value in reference):
        raise ValueError(f"reference must have 2 or 3 numbers, but got {tuple(reference)}")
    inside = []
    for point in points:
        if len(point) != len(reference) or any(math.isnan(value) for value in point):
            raise ValueError(f"a point must have {len(reference)} numbers, but got {tuple(point)}")
        if all(value < worst for value, worst in zip(point, reference, strict=True)):
            inside.append(_in_space(point, 0.0))
    right, top, end = _in_space(reference, 1.0)
    inside.sort(key=lambda point: point[2])
    area = _DominatedVolume(right, top)
    volume = 0.0
    for i, (x, y, z) in enumerate(inside):
        area.add(x, y)
        following = inside[i + 1][2] if i + 1 < len(inside) else end
        if following > z:
            volume += area.value * (following - z)
    return volume


class _DominatedVolume:
    """The area that a growing set of points dominates, up to the corner (right, top)."""

    def __init__(self, right: float, top: float) -> None:
        self.value = 0.0
        self._right, self._top = right, top
        # The non-dominated points: as x ascends, y descends.
        self._xs: list[float] = []
        self._ys: list[float] = []

    def add(self, x: float, y: float) -> None:
        """Adds what lies above `y`, right of `x` and below the points so far."""
        start = bisect_right(self._xs, x)
        ceiling = self._ys[start - 1] if start else self._top
        if ceiling <= y:
            return
        first = bisect_left(self._xs, x)
        end, left = start, x
        while end < len(self._xs) and self._ys[end] >= y:
            self.value += (self._xs[end] - left) * (ceiling - y)
            left, ceiling = self._xs[end], self._ys[end]
            end += 1
        edge = self._xs[end] if end < len(self._xs) else self._right
        self.value += (edge - left) * (ceiling - y)
        self._xs[first:end] = [x]
        self._ys[first:end] = [y]


def _in_space(point: Sequence[float], depth: float) -> tuple[float, float, float]:
    return (point[0], point[1], point[2] if len(point) == 3 else depth)


def _is_feasible(trial: TrialRecord) -> bool:
    return (
        trial.state is TrialState.COMPLETE
        and trial.outcome is not None
        and total_violation(trial.outcome.violations) == 0
    )


def _fits(cost: Cost, budget: Budget) -> bool:
    """Whether every limit holds for certain: one on a latency never measured does not."""
    return budget.admits(cost) and (budget.latency is None or cost.latency_ms is not None)


def _cost(trial: TrialRecord) -> Cost:
    if trial.outcome is None or trial.outcome.cost is None:
        raise ValueError(f"a complete trial must have a cost, but got none for {trial.number}")
    return trial.outcome.cost


def _size(trial: TrialRecord) -> int:
    return _cost(trial).size_bytes


def _latency(trial: TrialRecord) -> float:
    latency = _cost(trial).latency_ms
    return math.inf if latency is None else latency


def _accuracy(trial: TrialRecord) -> float:
    if trial.outcome is None or trial.outcome.quality is None:
        raise ValueError(f"a complete trial must have a quality, but got none for {trial.number}")
    return trial.outcome.quality.accuracy
