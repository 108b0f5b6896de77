"""Early stopping: it stops a trial that a cheaper student is expected to dominate.

A student's cost is known before its first step, its quality only while it trains. So a trial is
compared only with students that cost no more in any cost that the study minimises. A plain
successive halving compares all trials, and so stops the small students, which are always worse.

Source: asynchronous successive halving, Li et al. 2020, arXiv:1810.05934, for the rungs;
non-domination in the place of its quantile, as Schmucker et al. 2021, arXiv:2106.12639.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from search.objectives.goal import Goal
from search.objectives.limit import Limit
from search.records import Cost, Outcome, TrialState
from search.samplers.curve_extrapolation import ENOUGH, EndingLine
from search.surrogate.logit_scale import from_logits, to_logits

# Shares of the training after which trials are compared.
_RUNGS = (0.25, 0.5, 0.75)
# Latencies that differ by a smaller factor count as equal: repeated medians of one file differ
# as much.
_SAME_LATENCY = 1.05
# The number of standard errors of a difference: 95%, one-sided.
_DEVIATIONS = 1.645


@dataclass
class _Curve:
    """A trial's utilities at shares of its training, and the utility of its final student."""

    utilities: dict[float, float] = field(default_factory=dict)
    last: float | None = None


@dataclass(frozen=True)
class _EndedStudent:
    """A finished student: its trial, its cost, its utility, and the utility's standard error.

    The utility is that of the served file.
    """

    trial: int
    cost: Cost
    utility: float
    error: float


class EarlyStopping:
    """Rule of early stopping: it records the trials' curves and decides which trial stops.

    A trial is compared at rungs: at 25%, 50% and 75% of its training. From trials that were equally
    good at the rung, the final utility after compression is predicted: the utility that only a
    quarter of them exceed. The trial should stop if a finished student that costs no more is better
    than this optimistic prediction.

    Args:
        goal: the study's goal.
    """

    def __init__(self, goal: Goal) -> None:
        self.metric = goal.metric
        self._goal = goal
        self._trials: dict[int, _Curve] = defaultdict(_Curve)
        self._students: list[_EndedStudent] = []

    def finish(self, trial: int, outcome: Outcome, *, branch: bool = False) -> None:
        """Record a finished student.

        A student that breaks the budget stops no trial. Neither does one whose standard error is
        unknown, as in an older store.

        Args:
            trial: the number of the trial that trained the student.
            outcome: the student's outcome.
            branch: whether the student is a branch, so that the trial also has its own student.
        """
        found, utility = outcome.quality.get(self.metric.name), self._goal.utility(outcome)
        if found is None or utility is None or outcome.cost is None:
            return
        if outcome.state is TrialState.COMPLETE and found.error is not None:
            error = self.metric.spread_of(found.error)
            self._students.append(_EndedStudent(trial, outcome.cost, utility, error))
        if not branch:
            self._trials[trial].last = utility

    def note(self, trial: int, *, share: float, utility: float) -> None:
        """Record a point of a trial's curve: its utility at a share of its training."""
        self._trials[trial].utilities[share] = utility

    def should_stop(self, trial: int, *, share: float, utility: float, cost: Cost) -> str | None:
        """Record a point of the trial's curve; return why the trial should stop, or None.

        Args:
            trial: the number of the trial.
            share: the share of its training that is done, above 0, at most 1.
            utility: its present utility on validation images.
            cost: the expected cost of its final student.
        """
        before = max(self._trials[trial].utilities, default=0.0)
        self.note(trial, share=share, utility=utility)
        rung = max((rung for rung in _RUNGS if before < rung <= share), default=None)
        if (
            rung is None
            or share == 1.0
            or (optimistic := self._optimistic_utility(share, utility)) is None
        ):
            return None
        better = [student for student in self._students if self._beats(student, optimistic, cost)]
        if not better:
            return None
        best = max(better, key=lambda student: student.utility)
        return (
            f"{self._shown(utility)} after {share:.0%} of its training; it can be expected to "
            f"reach at best {self._shown(optimistic)}, but a student of trial {best.trial} that "
            f"costs no more has {self._shown(best.utility)}"
        )

    def _shown(self, utility: float) -> str:
        return self.metric.format(self.metric.value_of(utility))

    def _optimistic_utility(self, share: float, utility: float) -> float | None:
        """Return the optimistic prediction of a final utility; None if too few trials ended.

        Trials that train for a different number of epochs have no point at exactly this share. Each
        is taken at its last point before the share. It still gains more from there, so the
        prediction is rather too high, and stops no trial by mistake.
        """
        ended = []
        for trial in self._trials.values():
            before = [point for point in trial.utilities if point <= share]
            if trial.last is not None and before:
                ended.append((trial.utilities[max(before)], trial.last))
        if len(ended) < ENOUGH:
            return None
        reached, *points = to_logits(np.array([(utility, utility), *ended])).tolist()
        ending = EndingLine.through(points).ending(reached[0])
        return float(from_logits(np.array(ending.optimistic_logit)))

    def _beats(self, other: _EndedStudent, optimistic: float, cost: Cost) -> bool:
        """Return whether `other` costs no more, and is significantly better.

        Both are measured on the same number of images, so the other's standard error counts for
        both.
        """
        cheaper = all(_is_as_cheap(other.cost, cost, limit) for limit in self._goal.costs)
        return cheaper and other.utility > optimistic + _DEVIATIONS * math.sqrt(2) * other.error


def _is_as_cheap(one: Cost, other: Cost, limit: Limit) -> bool:
    """Return whether `one` costs no more than `other`; False if only one of the costs is known."""
    if limit.cost not in one or limit.cost not in other:
        return (limit.cost in one) is (limit.cost in other)
    slack = _SAME_LATENCY if limit.is_timed else 1.0
    return one[limit.cost] <= other[limit.cost] * slack
