"""The budget: upper limits on a student's costs, and floors of its quality. Pure.

The whole project asks `Budget` whether a student is within the budget. An untrained student has
costs alone, so only the limits can refuse it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, create_model

from search.errors import BadInput
from search.objectives.floors import Floor, parse_metric_floors, parse_recalls
from search.objectives.limit import Limit
from search.objectives.limits import LATENCY, limit_on, limits
from search.objectives.metrics import ACCURACY, metric_of, metrics
from search.records import Cost, Quality
from spaces.names import expected

_UNMEASURED: Quality = MappingProxyType({})


def _bound(limit: Limit) -> Any:
    """Return the type and the field of a limit in a study file; None means no limit."""
    number: Any = Annotated[
        int if limit.is_whole else float,
        BeforeValidator(limit.parse),
        Field(gt=0),
        PlainSerializer(limit.write, when_used="json"),
    ]
    return number | None, Field(None, description=limit.description)


class Budget(
    create_model(  # type: ignore[misc]  # the fields are the table's
        "Bounds",
        __base__=BaseModel,
        **{name: _bound(limit) for name, limit in limits().items()},
    )
):
    """Limits on a student's costs, and floors of its quality on the validation images.

    It has one field for each entry of the table of limits. A student is within the budget if its
    costs are within the limits and its measured quality meets the floors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recall: Annotated[dict[str, float], BeforeValidator(parse_recalls)] = Field(
        {},
        description="the share of a class's validation images that must be predicted correctly, "
        "such as {stop: 0.98}; a class by its name in the data or in data.class_names",
    )
    metrics: Annotated[dict[str, float], BeforeValidator(parse_metric_floors)] = Field(
        {},
        description="the worst acceptable values of metrics on validation images, such as "
        "{macro_f1: 0.9}; `retort metrics` lists all metrics",
    )

    def __hash__(self) -> int:
        """Return a hash of the limits and floors; pydantic's own can't hash a dictionary."""
        floors = frozenset((floor.name, floor.bound) for floor in self.floors())
        return hash((frozenset(self.limits().items()), floors))

    def limits(self) -> dict[str, float]:
        """Return the bound of each limited cost, by the stored name of the cost."""
        bounds = {limit.cost: getattr(self, name) for name, limit in limits().items()}
        return {cost: bound for cost, bound in bounds.items() if bound is not None}

    def floors(self) -> tuple[Floor, ...]:
        """Return the floors of recalls, then those of metrics, in the order of the study file."""
        of_classes = (
            Floor(metric=ACCURACY, bound=bound, of_class=name)
            for name, bound in self.recall.items()
        )
        of_metrics = (
            Floor(metric=metric_of(name), bound=bound) for name, bound in self.metrics.items()
        )
        return *of_classes, *of_metrics

    @property
    def is_open(self) -> bool:
        """Whether it has neither a limit nor a floor."""
        return not self.limits() and not self.floors()

    @property
    def before_training(self) -> "Budget":
        """The budget without its floors, which only a trained student can meet or break."""
        bare: Budget = self.model_copy(update={"recall": {}, "metrics": {}})
        return bare

    def violations(self, cost: Cost, quality: Quality = _UNMEASURED) -> dict[str, float]:
        """Return how much each limit and each floor is broken.

        Above 0 a limit or floor is broken; at or below 0 it holds.

        Args:
            cost: the student's costs; an unknown one is left out of the result.
            quality: its quality on validation images; an unknown value is left out of the result.

        Returns:
            By the cost's stored name, its excess over the bound, relative to the bound. By the
            floor's stored name, how much the value is worse than the floor, as a share of the
            metric's whole range.
        """
        excesses = {
            name: cost[name] / bound - 1 for name, bound in self.limits().items() if name in cost
        }
        shortfalls = {
            floor.name: floor.shortfall(value)
            for floor in self.floors()
            if (value := floor.value(quality)) is not None
        }
        return excesses | shortfalls

    def admits(self, cost: Cost, quality: Quality = _UNMEASURED) -> bool:
        """Return whether every limit on a known cost holds, and every floor of a known value."""
        return all(excess <= 0 for excess in self.violations(cost, quality).values())

    def surely_admits(self, cost: Cost, quality: Quality = _UNMEASURED) -> bool:
        """Return whether every limit and every floor holds, and no bounded value is unknown."""
        return self.admits(cost, quality) and not self.is_uncertain(cost, quality)

    def is_uncertain(self, cost: Cost, quality: Quality = _UNMEASURED) -> bool:
        """Return whether a limited cost, or a value with a floor, is unknown."""
        if not self.limits().keys() <= cost.keys():
            return True
        return any(floor.name not in quality for floor in self.floors())

    @property
    def needs_timing(self) -> bool:
        """Whether the budget limits a cost that only the target can measure."""
        return any(limit_on(cost).is_timed for cost in self.limits())

    def __str__(self) -> str:
        """Return text such as `size up to 300 KB, recall of stop at least 98.00%`."""
        bounds = [
            f"{limit.label} up to {limit.format(bound)}"
            for cost, bound in self.limits().items()
            for limit in [limit_on(cost)]
        ]
        return ", ".join([*bounds, *map(str, self.floors())]) or "no limit"

    def explain(self, cost: Cost, quality: Quality = _UNMEASURED) -> str:
        """Return the limits and floors that are broken, in words; empty where none is."""
        bounds, excesses = self.limits(), self.violations(cost, quality)
        broken = [
            f"{limit.label} {limit.text(cost)} is above {limit.format(bounds[limit.cost])}"
            for limit in map(limit_on, bounds)
            if excesses.get(limit.cost, 0.0) > 0
        ]
        broken += [
            floor.explain(quality[floor.name].value)
            for floor in self.floors()
            if excesses.get(floor.name, 0.0) > 0
        ]
        return "; ".join(broken)


def cost_texts(cost: Cost | None) -> dict[str, str]:
    """Return the cost's values as text, by the limits' labels; a dash for an unknown value."""
    return {
        limit.label: limit.text(cost) if cost and limit.cost in cost else "–"
        for limit in limits().values()
    }


def doubt_text(*costs: Cost | None) -> str | None:
    """Return the explanation of the question mark behind a latency; None if no cost has one."""
    if not any(LATENCY.is_doubtful(cost) for cost in costs if cost):
        return None
    return (
        "? = other processes disturbed the measurement of this latency, so it can't be trusted: "
        "measure it again on a quiet machine"
    )


def total_violation(violations: Mapping[str, float]) -> float:
    """Return the sum of the violations of all broken limits and floors; 0 if none is broken."""
    return sum(max(0.0, excess) for excess in violations.values())


def stored_budget(config: Mapping[str, object]) -> Budget:
    """Return a study's budget from its stored configuration, without the target.

    Raises:
        BadInput: it has a limit, or a floor of a metric, that is not installed on this machine.
        ValueError: it is damaged.
    """
    stored = config.get("budget")
    fields = stored if isinstance(stored, Mapping) else {}
    unknown = [key for key in fields if key not in {*Budget.model_fields, "target"}]
    if unknown:
        raise BadInput(
            f"the budget of {config.get('study')} has a limit that is not installed: "
            + expected("a limit", str(unknown[0]), Budget.model_fields)
        )
    floors = fields.get("metrics")
    named = floors if isinstance(floors, Mapping) else {}
    if foreign := [name for name in named if name not in metrics()]:
        raise BadInput(
            f"the budget of {config.get('study')} has a floor of a metric that is not installed: "
            + expected("a metric", str(foreign[0]), metrics())
        )
    budget: Budget = Budget.model_validate({key: fields.get(key) for key in Budget.model_fields})
    return budget
