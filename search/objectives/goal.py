"""The goal of a study: a metric that is maximised, and costs that are minimised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.errors import BadInput
from search.objectives.dominance import MOST_OBJECTIVES
from search.objectives.limit import Limit
from search.objectives.limits import LATENCY, SIZE, limit_of, limits
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY, metric_of, metrics
from search.records import Cost, Outcome

DEFAULT_OBJECTIVE = ACCURACY.name
DEFAULT_MINIMIZED = (SIZE.name, LATENCY.name)
MOST_MINIMIZED = MOST_OBJECTIVES - 1
"""The maximum number of costs that a study may minimise; the metric is a further objective."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The goal of a study.

    Attributes:
        metric: the metric; its utility, from 0 to 1, is maximised.
        costs: the costs that are minimised, one to four, in the order of the study file.
    """

    metric: Metric
    costs: tuple[Limit, ...]

    @classmethod
    def of(cls, objective: str, minimized: Sequence[str]) -> "Goal":
        """Return the goal with a metric and costs of these names.

        Args:
            objective: the name of the metric.
            minimized: the names of the limits whose costs are minimised.

        Raises:
            ValueError: a name is unknown, or the number of costs is not allowed.
        """
        if not 1 <= len(minimized) <= MOST_MINIMIZED or len(set(minimized)) < len(minimized):
            raise ValueError(
                f"minimize must name 1 to {MOST_MINIMIZED} costs, each once, "
                f"but got {list(minimized)}"
            )
        return cls(metric=metric_of(objective), costs=tuple(map(limit_of, minimized)))

    @property
    def all_metrics(self) -> tuple[Metric, ...]:
        """All metrics in display order: the goal's own metric first."""
        others = (metric for metric in metrics().values() if metric.name != self.metric.name)
        return self.metric, *others

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
    try:
        return Goal.of(str(objective), list(search.get("minimize") or DEFAULT_MINIMIZED))
    except ValueError as error:
        raise BadInput(f"the goal of {config.get('study')} is not available: {error}") from error
