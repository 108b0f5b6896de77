"""The goal of a study: a metric that is maximised, and costs that are minimised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from search.errors import BadInput
from search.objectives.dominance import MOST_OBJECTIVES
from search.objectives.limit import Limit
from search.objectives.limits import LATENCY, SIZE, limit_of, limits
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY, metric_of, metrics
from search.records import Cost, Outcome, Quality

DEFAULT_OBJECTIVE = ACCURACY.name
DEFAULT_MINIMIZED = (SIZE.name, LATENCY.name)
MOST_MINIMIZED = MOST_OBJECTIVES - 1
"""The maximum number of costs that a study may minimise; the metric is a further objective."""

BEST_WEIGHT = 0.5
"""The weight of `search.goal: best`: it finds the best student, and the frontier beside it."""

MOST_ACCURATE: Final = "best"
SMALLEST: Final = "smallest_within_noise"
"""The values of `search.prefer`: which student within the budget is chosen."""

# On the scale of utilities: one point of a share. Less would not change what a reader thinks.
_NOTICEABLE = 0.01


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The goal of a study.

    Attributes:
        metric: the metric; its utility, from 0 to 1, is maximised.
        costs: the costs that are minimised, one to four, in the order of the study file.
        weight: how much the best student within the budget counts against the frontier below the
            budget, from 0 (the frontier alone) to 1 (the best student alone).
        prefer: the choice of a student within the budget: the best one (`MOST_ACCURATE`), or the
            cheapest one that is within noise of it (`SMALLEST`).
    """

    metric: Metric
    costs: tuple[Limit, ...]
    weight: float = 0.0
    prefer: str = MOST_ACCURATE

    @classmethod
    def of(
        cls,
        objective: str,
        minimized: Sequence[str],
        *,
        weight: float = 0.0,
        prefer: str = MOST_ACCURATE,
    ) -> "Goal":
        """Return the goal with a metric and costs of these names.

        Args:
            objective: the name of the metric.
            minimized: the names of the limits whose costs are minimised.
            weight: see `Goal`.
            prefer: see `Goal`.

        Raises:
            ValueError: a name is unknown, or the number of costs is not allowed.
        """
        if not 1 <= len(minimized) <= MOST_MINIMIZED or len(set(minimized)) < len(minimized):
            raise ValueError(
                f"minimize must name 1 to {MOST_MINIMIZED} costs, each once, "
                f"but got {list(minimized)}"
            )
        costs = tuple(map(limit_of, minimized))
        return cls(metric=metric_of(objective), costs=costs, weight=weight, prefer=prefer)

    @property
    def all_metrics(self) -> tuple[Metric, ...]:
        """All metrics in display order: the goal's own, its companions, then the others."""
        first = (self.metric, *self.companions)
        names = {metric.name for metric in first}
        return *first, *(metric for name, metric in metrics().items() if name not in names)

    @property
    def companions(self) -> tuple[Metric, ...]:
        """The metrics that can stand beside the goal's own, as the table of metrics says."""
        return tuple(metric_of(name) for name in self.metric.beside)

    def beside(self, *qualities: Quality) -> tuple[Metric, ...]:
        """Return the companions that say something else than the goal's own metric.

        On balanced data a companion repeats the goal's own metric, so it is left out there.

        Args:
            qualities: the qualities of all networks that are shown together. A companion is
                returned if its utility differs by 0.01 or more for one of them.
        """
        return tuple(
            companion
            for companion in self.companions
            if any(self._differs(companion, quality) for quality in qualities)
        )

    def _differs(self, companion: Metric, quality: Quality) -> bool:
        own, other = quality.get(self.metric.name), quality.get(companion.name)
        if own is None or other is None:
            return False
        gap = self.metric.utility(own.value) - companion.utility(other.value)
        # Rounding must not decide about a gap of exactly one point.
        return abs(gap) > _NOTICEABLE - 1e-9

    @property
    def all_limits(self) -> tuple[Limit, ...]:
        """All limits in display order: the minimised costs first."""
        own = {limit.name for limit in self.costs}
        return *self.costs, *(limit for limit in limits().values() if limit.name not in own)

    def value(self, outcome: Outcome) -> float | None:
        """Return the metric's value for a student; None if it was not measured."""
        found = outcome.quality.get(self.metric.name)
        return None if found is None else found.value

    def utility(self, outcome: Outcome) -> float | None:
        """Return the metric's utility for a student, from 0 to 1; None if it was not measured."""
        value = self.value(outcome)
        return None if value is None else self.metric.utility(value)

    def costs_of(self, cost: Cost, *, unknown: float = float("inf")) -> tuple[float, ...]:
        """Return the minimised costs, in order; `unknown` replaces an unknown cost."""
        return tuple(cost.get(limit.cost, unknown) for limit in self.costs)

    def point(self, outcome: Outcome) -> tuple[float, ...] | None:
        """Return all objectives: 1 - utility, then the costs; less is better in each.

        Returns:
            The objectives; an unknown cost counts as infinite. None if the metric or all costs are
            unknown.
        """
        utility = self.utility(outcome)
        if utility is None or outcome.cost is None:
            return None
        return 1 - utility, *self.costs_of(outcome.cost)


DEFAULT_GOAL = Goal.of(DEFAULT_OBJECTIVE, DEFAULT_MINIMIZED)
"""The goal of a study file without an explicit goal."""


def stored_goal(config: Mapping[str, object]) -> Goal:
    """Return a study's goal from its stored configuration; the default goal for older studies.

    Raises:
        BadInput: it names a metric or a limit that is not installed on this machine.
    """
    stored = config.get("search")
    search = stored if isinstance(stored, Mapping) else {}
    objective = search.get("objective") or DEFAULT_OBJECTIVE
    prefer = str(search.get("prefer") or MOST_ACCURATE)
    try:
        minimized = list(search.get("minimize") or DEFAULT_MINIMIZED)
        return Goal.of(str(objective), minimized, prefer=prefer)
    except ValueError as error:
        raise BadInput(f"the goal of {config.get('study')} is not available: {error}") from error
