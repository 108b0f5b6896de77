"""The budget: the most that a student may cost. Pure; its checks are the whole project's."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, create_model

from search.objectives.limit import Limit
from search.objectives.limits import limit_on, limits
from search.records import Cost


def _bound(limit: Limit) -> Any:
    """The type of a bound in a study file, and its field: None leaves the cost free."""
    number: Any = Annotated[
        int if limit.write is int else float,
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
    """Upper limits on a student's cost; a field for each entry of the table of limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def limits(self) -> dict[str, float]:
        """The bound of each cost that is limited, by the name that the cost is stored under."""
        bounds = {limit.cost: getattr(self, name) for name, limit in limits().items()}
        return {cost: bound for cost, bound in bounds.items() if bound is not None}

    def violations(self, cost: Cost) -> dict[str, float]:
        """How far each limited cost lies from its bound, relative to the bound.

        Above 0 the limit is broken, at or below 0 it holds. A cost that is not known is left out.
        """
        return {
            name: cost[name] / bound - 1 for name, bound in self.limits().items() if name in cost
        }

    def admits(self, cost: Cost) -> bool:
        """Whether every limit that could be checked holds."""
        return all(excess <= 0 for excess in self.violations(cost).values())

    def surely_admits(self, cost: Cost) -> bool:
        """Whether every limit holds for certain: one on a cost that is not known does not."""
        return self.admits(cost) and self.limits().keys() <= cost.keys()

    def is_untold(self, cost: Cost) -> bool:
        """Whether a cost that is limited is not known."""
        return not self.limits().keys() <= cost.keys()

    @property
    def needs_timing(self) -> bool:
        """Whether a limit holds for a cost that only the target can tell."""
        return any(limit_on(cost).is_timed for cost in self.limits())

    def __str__(self) -> str:
        """Such as `size up to 300 KB, latency up to 2.00 ms`."""
        bounds = [
            f"{limit.label} up to {limit.format(bound)}"
            for cost, bound in self.limits().items()
            for limit in [limit_on(cost)]
        ]
        return ", ".join(bounds) or "no limit"

    def explain(self, cost: Cost) -> str:
        """The limits that `cost` breaks, in words; empty where it breaks none."""
        bounds = self.limits()
        return "; ".join(
            f"{limit.label} {limit.format(cost[name])} is above {limit.format(bounds[name])}"
            for name, excess in self.violations(cost).items()
            if excess > 0
            for limit in [limit_on(name)]
        )


def cost_texts(cost: Cost | None) -> dict[str, str]:
    """Every limit's value as people read it, by the limit's label; a dash where it isn't known."""
    return {
        limit.label: limit.format(cost[limit.cost]) if cost and limit.cost in cost else "–"
        for limit in limits().values()
    }


def total_violation(violations: Mapping[str, float]) -> float:
    """The sum of all broken limits' relative excess; 0 where none is broken."""
    return sum(max(0.0, excess) for excess in violations.values())


def stored_budget(config: Mapping[str, object]) -> Budget:
    """The budget of a study as the store keeps it; without the target that stands beside it."""
    stored = config.get("budget")
    fields = stored if isinstance(stored, Mapping) else {}
    budget: Budget = Budget.model_validate({key: fields.get(key) for key in Budget.model_fields})
    return budget
