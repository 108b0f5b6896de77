"""Early stopping: it stops a trial that cheaper trials will leave behind.

A student's cost is known before its first step; its quality is learned only as it trains. So a
trial is compared only with trials that cost no more in anything that the study minimises. A plain
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
from search.samplers.curve_extrapolation import ENOUGH, foreseen_ending
from search.samplers.logit_scale import from_logits, to_logits

# Shares of the training after which trials are compared.
_RUNGS = (0.25, 0.5, 0.75)
# Latencies that differ by a smaller factor are equal: the median of one file varies as much.
_SAME_LATENCY = 1.05
# Standard errors of a difference between two measurements: 95%, one-sided.
_DEVIATIONS = 1.645


@dataclass
class _Curve:
    """A trial's utilities at shares of its training, and the utility of its final student."""

    utilities: dict[float, float] = field(default_factory=dict)
    last: float | None = None


@dataclass(frozen=True)
class _EndedStudent:
    """A finished student: its trial, its cost, its utility as shipped, and its error.

    The error is the standard error of the utility.
    """

    trial: int
    cost: Cost
    utility: float
    error: float


class EarlyStopping:
    """Early stopping, which remembers the trials' curves and decides which trial should stop.

    A trial should stop if it would stay behind a finished student that costs no more, even if it
    ended better than three quarters of those that are as good at the same rung, compression
    included.

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

        No trial is stopped because of a student that breaks the budget, or whose standard error is
        unknown, as in an older store.

        Args:
            trial: the trial that trained it.
            outcome: the student's.
            branch: whether it was branched off, so that the trial has a student of its own.
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
        """Record a point of a trial's curve: its utility at that share of its training."""
        self._trials[trial].utilities[share] = utility

    def should_stop(self, trial: int, *, share: float, utility: float, cost: Cost) -> str | None:
        """Return why the trial should stop; None while it may go on.

        Args:
            trial: its number.
            share: of its training that is done, above 0 to 1.
            utility: on validation images, now.
            cost: expected, of its final student.
        """
        before = max(self._trials[trial].utilities, default=0.0)
        self.note(trial, share=share, utility=utility)
        rung = max((rung for rung in _RUNGS if before < rung <= share), default=None)
        if rung is None or share == 1.0 or (hoped := self._hoped(share, utility)) is None:
            return None
        better = [student for student in self._students if self._beats(student, hoped, cost)]
        if not better:
            return None
        best = max(better, key=lambda student: student.utility)
        return (
            f"{self._shown(utility)} after {share:.0%} of its training; it may hope for "
            f"{self._shown(hoped)}, but a student of trial {best.trial} that costs no more has "
            f"{self._shown(best.utility)}"
        )

    def _shown(self, utility: float) -> str:
        return self.metric.format(self.metric.value_of(utility))

    def _hoped(self, share: float, utility: float) -> float | None:
        """Return the utility that a trial may reach; None while it can't be predicted.

        Where trials train for different numbers of epochs, each is taken at its last point before
        the share. It had more to gain then, so this difference stops no trial.
        """
        ended = []
        for trial in self._trials.values():
            before = [point for point in trial.utilities if point <= share]
            if trial.last is not None and before:
                ended.append((trial.utilities[max(before)], trial.last))
        if len(ended) < ENOUGH:
            return None
        reached, *points = to_logits(np.array([(utility, utility), *ended])).tolist()
        return float(from_logits(np.array(foreseen_ending(reached[0], points).hope)))

    def _beats(self, other: _EndedStudent, hoped: float, cost: Cost) -> bool:
        """Return whether `other` costs no more, and is better by more than chance explains.

        Both are measured on the same images, so the other's error serves for both.
        """
        cheaper = all(_is_as_cheap(other.cost, cost, limit) for limit in self._goal.costs)
        return cheaper and other.utility > hoped + _DEVIATIONS * math.sqrt(2) * other.error


def _is_as_cheap(one: Cost, other: Cost, limit: Limit) -> bool:
    """Return whether the one costs no more; False where only one of the costs is known."""
    if limit.cost not in one or limit.cost not in other:
        return (limit.cost in one) is (limit.cost in other)
    slack = _SAME_LATENCY if limit.is_timed else 1.0
    return one[limit.cost] <= other[limit.cost] * slack
