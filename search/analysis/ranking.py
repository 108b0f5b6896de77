"""The best student within a budget, by estimates of the true quality."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from search.analysis.estimates import QualityEstimate, estimates
from search.analysis.pareto import (
    cost_of,
    fits,
    nearest_miss,
    point_of,
    quality_of,
    value_of,
    violations_of,
)
from search.errors import NoStudentFits
from search.objectives.budget import Budget, total_violation
from search.objectives.goal import SMALLEST, Goal
from search.records import TrialKind, TrialRecord

# The way from a measured value to its estimate and back rounds by less than this.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Ranking:
    """The ranking of a study's students by their estimated quality.

    The measured quality of the best of many students is partly luck, so students are compared by
    estimates; see `search.analysis.estimates`.

    Attributes:
        trials: all trials of one study, since all of them help to estimate each other.
        goal: the study's goal.
    """

    trials: Sequence[TrialRecord]
    goal: Goal

    @cached_property
    def estimates(self) -> Mapping[int, QualityEstimate]:
        """The estimate of each measured student, by its trial's number."""
        return estimates(self.trials, self.goal)

    def estimate(self, trial: TrialRecord) -> QualityEstimate:
        """Return the estimate of a measured student's metric."""
        return self.estimates[trial.number]

    def utility(self, trial: TrialRecord) -> float:
        """Return the utility of a measured student's estimate, from 0 to 1."""
        return self.goal.metric.utility(self.estimate(trial).value)

    def estimate_text(self, trial: TrialRecord) -> str:
        """Return text such as `91.24%`, or `91.24% (measured 92.87%)` if the two differ."""
        metric = self.goal.metric
        texts = [metric.format(one) for one in (self.estimate(trial).value, self.measured(trial))]
        return texts[0] if texts[0] == texts[1] else f"{texts[0]} (measured {texts[1]})"

    def measured(self, trial: TrialRecord) -> float:
        """Return the measured value of a student's metric."""
        return value_of(trial, self.goal)

    def ranked(
        self,
        budget: Budget,
        *,
        floor: float | None = None,
        among: Iterable[TrialRecord] | None = None,
    ) -> list[TrialRecord]:
        """Return the complete trials within the budget, the best estimate first.

        Equally good trials are sorted by the goal's costs, in their order, then by number.

        Args:
            budget: the budget; it may differ from the study's.
            floor: the worst acceptable estimate of the goal's metric; None accepts any.
            among: some of the trials; None: all of them.
        """
        least = 0.0 if floor is None else self.goal.metric.utility(floor)
        candidates = sorted(
            (
                (1 - self.utility(trial), self.goal.costs_of(cost_of(trial)), trial.number, trial)
                for trial in (self.trials if among is None else among)
                if point_of(trial, self.goal) is not None
                and self.utility(trial) >= least - _ROUNDING
                and fits(trial, budget)
            ),
            key=lambda candidate: candidate[:3],
        )
        return [candidate[3] for candidate in candidates]

    def best(
        self,
        budget: Budget,
        *,
        floor: float | None = None,
        among: Iterable[TrialRecord] | None = None,
    ) -> TrialRecord | None:
        """Return the best complete trial within the budget; None if there is none.

        If finalists are within the budget, the result is one of them. If the goal prefers the
        smallest student within noise, the result is the cheapest of those that are within noise of
        the best one. A refit has no value on validation images, so it is never the result;
        `search.analysis.finals.shipped` returns the refit of the result.

        Args:
            budget: as in `ranked`.
            floor: as in `ranked`.
            among: as in `ranked`.
        """
        fitting = self.ranked(budget, floor=floor, among=among)
        finals = [trial for trial in fitting if trial.kind is TrialKind.FINAL] or fitting
        if not finals or self.goal.prefer != SMALLEST:
            return next(iter(finals), None)
        equals = [trial for trial in finals if self.is_within_noise(trial, finals[0])]
        return min(equals, key=lambda trial: self.goal.costs_of(cost_of(trial)))

    def is_within_noise(self, trial: TrialRecord, best: TrialRecord) -> bool:
        """Return whether a student's estimate is within a standard error of the best one's.

        Source: the rule of one standard error, Breiman, Friedman, Olshen and Stone 1984,
        Classification and Regression Trees, section 3.4.3.
        """
        deviation = self.goal.metric.spread_of(self.estimate(best).deviation)
        return self.utility(trial) >= self.utility(best) - deviation

    def chosen(self, budget: Budget, *, floor: float | None = None) -> TrialRecord:
        """Return the same trial as `best`, but raise an error if there is none.

        Raises:
            NoStudentFits: no trial is within the budget; the message names the nearest one.
        """
        if found := self.best(budget, floor=floor):
            return found
        if floor is not None and (most := self.best(budget)):
            metric = self.goal.metric
            raise NoStudentFits(
                f"no student within the budget reaches {metric.label} {metric.format(floor)}. The "
                f"best is trial {most.number}: {self.estimate_text(most)}"
            )
        miss = nearest_miss(self.trials, budget)
        if miss is None:
            if any(point_of(trial, self.goal) for trial in self.trials):
                raise NoStudentFits(
                    f"no student of {len(self.trials)} trials is known to fit the budget "
                    f"({budget}): every student that may fit lacks a measurement that the budget "
                    "bounds"
                )
            raise NoStudentFits(
                f"none of {len(self.trials)} trials ended with a student: `retort trials` shows "
                "the reasons"
            )
        raise NoStudentFits(
            f"no student of {len(self.trials)} trials fits the budget ({budget}). The nearest is "
            f"trial {miss.number}: {budget.explain(cost_of(miss), quality_of(miss))}. "
            f"{_way_out(miss, budget)}"
        )

    def nearest(self, budget: Budget) -> list[TrialRecord]:
        """Return the complete trials that break only floors, the one nearest to the floors first.

        Equally near trials are sorted by their estimate, the goal's costs and the number.
        """
        found = []
        for trial in self.trials:
            if point_of(trial, self.goal) is None:
                continue
            missed = total_violation(violations_of(trial, budget))
            if missed > 0 and budget.before_training.surely_admits(cost_of(trial)):
                costs = self.goal.costs_of(cost_of(trial))
                found.append((missed, 1 - self.utility(trial), costs, trial.number, trial))
        return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:-1])]


def _way_out(miss: TrialRecord, budget: Budget) -> str:
    """Return what a person can do to get a student within the budget."""
    broken = {name for name, value in violations_of(miss, budget).items() if value > 0}
    ways = []
    if broken & budget.limits().keys():
        ways.append("Raise the budget, or open smaller students and higher pruning ratios")
    if broken & {floor.name for floor in budget.floors()}:
        ways.append(
            "Lower the floors, train longer, or open class_weights and balanced sampling of the "
            "training"
        )
    return ". ".join(ways)
