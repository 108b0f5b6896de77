"""Early stopping: it stops a trial that a cheaper student is expected to dominate.

A student's cost is known before its first step, its quality only while it trains. So a trial is
compared only with students that cost no more in any cost that the study minimises. A plain
successive halving compares all trials, and so stops the small students, which are always worse.

Students within the budget come before all others: only they stop a trial. They stop one that is
expected to stay worse in the metric, and one that is expected to break a floor of the budget.

Source: asynchronous successive halving, Li et al. 2020, arXiv:1810.05934, for the rungs;
non-domination in the place of its quantile, as Schmucker et al. 2021, arXiv:2106.12639;
constrained domination, Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm:
NSGA-II, section VI, for the floors.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType

import numpy as np

from search.objectives.budget import total_violation
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.limit import Limit
from search.objectives.metric import Metric
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
# The name of the goal's metric among the curves of a trial; the others are of floors.
_GOAL = ""
_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass
class _Curve:
    """A trial's utilities at shares of its training, and the utility of its final student."""

    utilities: dict[float, float] = field(default_factory=dict)
    last: float | None = None


@dataclass(frozen=True)
class _EndedStudent:
    """A student within the budget: its trial, cost, utility, and the utility's standard error.

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
    quarter of them exceed. The values with floors are predicted in the same way. The trial should
    stop if a finished student within the budget that costs no more is better than the optimistic
    prediction, or if the optimistic prediction breaks a floor while there is such a student.

    Args:
        goal: the study's goal.
        floors: the floors of the study's budget.
    """

    def __init__(self, goal: Goal, floors: Sequence[Floor] = ()) -> None:
        self.metric = goal.metric
        self.floors = tuple(floors)
        self._goal = goal
        # By the name of a floor, or `_GOAL`; then by trial.
        self._curves: dict[str, dict[int, _Curve]] = {
            name: defaultdict(_Curve) for name in (_GOAL, *(floor.name for floor in floors))
        }
        self._errors: dict[str, list[float]] = defaultdict(list)
        self._students: list[_EndedStudent] = []

    def finish(self, trial: int, outcome: Outcome, *, branch: bool = False) -> None:
        """Record a finished student.

        A student that breaks a limit or a floor stops no trial. Neither does one whose standard
        error is unknown, as in an older store.

        Args:
            trial: the number of the trial that trained the student.
            outcome: the student's outcome.
            branch: whether the student is a branch, so that the trial also has its own student.
        """
        found, utility = outcome.quality.get(self.metric.name), self._goal.utility(outcome)
        if found is None or utility is None or outcome.cost is None:
            return
        is_within = outcome.state is TrialState.COMPLETE and not total_violation(outcome.violations)
        if is_within and found.error is not None:
            error = self.metric.spread_of(found.error)
            self._students.append(_EndedStudent(trial, outcome.cost, utility, error))
        if not branch:
            self._curves[_GOAL][trial].last = utility
            self._finish_floors(trial, outcome)

    def _finish_floors(self, trial: int, outcome: Outcome) -> None:
        for floor in self.floors:
            found = outcome.quality.get(floor.name)
            if found is not None:
                self._curves[floor.name][trial].last = floor.metric.utility(found.value)
                self._errors[floor.name].append(floor.metric.spread_of(found.error or 0.0))

    def note(
        self, trial: int, *, share: float, utility: float, floors: Mapping[str, float] = _NOTHING
    ) -> None:
        """Record a point of a trial's curves at a share of its training.

        Args:
            trial: the number of the trial.
            share: the share of its training that is done, above 0, at most 1.
            utility: its present utility on validation images.
            floors: the utilities of the values with floors, by their names; some may be unknown.
        """
        self._curves[_GOAL][trial].utilities[share] = utility
        for floor in self.floors:
            if floor.name in floors:
                self._curves[floor.name][trial].utilities[share] = floors[floor.name]

    def should_stop(
        self,
        trial: int,
        *,
        share: float,
        utility: float,
        cost: Cost,
        floors: Mapping[str, float] = _NOTHING,
    ) -> str | None:
        """Record a point of the trial's curves; return why the trial should stop, or None.

        Args:
            trial: as in `note`.
            share: as in `note`.
            utility: as in `note`.
            cost: the expected cost of its final student.
            floors: as in `note`.
        """
        before = max(self._curves[_GOAL][trial].utilities, default=0.0)
        self.note(trial, share=share, utility=utility, floors=floors)
        rung = max((rung for rung in _RUNGS if before < rung <= share), default=None)
        if rung is None or share == 1.0:
            return None
        rivals = [student for student in self._students if self._costs_no_more(student, cost)]
        if not rivals:
            return None
        worse = self._why_worse(utility, rivals, share=share)
        return worse or self._why_below(floors, rivals, share=share)

    def _why_worse(
        self, utility: float, rivals: Sequence[_EndedStudent], *, share: float
    ) -> str | None:
        """Return that a rival is significantly better than what the trial can reach, or None.

        Both are measured on the same number of images, so the rival's standard error counts for
        both.
        """
        optimistic = self._optimistic_utility(_GOAL, share, utility)
        if optimistic is None:
            return None
        better = [
            rival
            for rival in rivals
            if rival.utility > optimistic + _DEVIATIONS * math.sqrt(2) * rival.error
        ]
        if not better:
            return None
        best = max(better, key=lambda student: student.utility)
        return (
            f"{_shown(self.metric, utility)} after {share:.0%} of its training; it can be expected "
            f"to reach at best {_shown(self.metric, optimistic)}, but a student of trial "
            f"{best.trial} that costs no more has {_shown(self.metric, best.utility)}"
        )

    def _why_below(
        self, floors: Mapping[str, float], rivals: Sequence[_EndedStudent], *, share: float
    ) -> str | None:
        """Return that the trial can't be expected to meet a floor, unlike a rival; or None."""
        for floor in self.floors:
            if floor.name not in floors:
                continue
            now = floors[floor.name]
            optimistic = self._optimistic_utility(floor.name, share, now)
            if optimistic is None:
                continue
            error = fmean(self._errors[floor.name])
            if optimistic + _DEVIATIONS * error < floor.utility:
                return (
                    f"{floor.label} {_shown(floor.metric, now)} after {share:.0%} of its training; "
                    f"it can be expected to reach at best {_shown(floor.metric, optimistic)}, but "
                    f"must be {floor.side} {floor.metric.format(floor.bound)}, as of a student of "
                    f"trial {rivals[0].trial} that costs no more"
                )
        return None

    def _optimistic_utility(self, name: str, share: float, utility: float) -> float | None:
        """Return the optimistic prediction of a final utility; None if too few trials ended.

        Args:
            name: the name of a floor, or `_GOAL`.
            share: the share of the training that is done.
            utility: the present utility.

        Trials that train for a different number of epochs have no point at exactly this share. Each
        is taken at its last point before the share. It still gains more from there, so the
        prediction is rather too high, and stops no trial by mistake.
        """
        ended = []
        for trial in self._curves[name].values():
            before = [point for point in trial.utilities if point <= share]
            if trial.last is not None and before:
                ended.append((trial.utilities[max(before)], trial.last))
        if len(ended) < ENOUGH:
            return None
        reached, *points = to_logits(np.array([(utility, utility), *ended])).tolist()
        ending = EndingLine.through(points).ending(reached[0])
        return float(from_logits(np.array(ending.optimistic_logit)))

    def _costs_no_more(self, student: _EndedStudent, cost: Cost) -> bool:
        return all(_is_as_cheap(student.cost, cost, limit) for limit in self._goal.costs)


def _shown(metric: Metric, utility: float) -> str:
    return metric.format(metric.value_of(utility))


def _is_as_cheap(one: Cost, other: Cost, limit: Limit) -> bool:
    """Return whether `one` costs no more than `other`; False if only one of the costs is known."""
    if limit.cost not in one or limit.cost not in other:
        return (limit.cost in one) is (limit.cost in other)
    slack = _SAME_LATENCY if limit.is_timed else 1.0
    return one[limit.cost] <= other[limit.cost] * slack
