"""The budget: upper limits on a student's costs. Pure; the whole project checks costs with it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, create_model

from search.errors import BadInput
from search.objectives.limit import Limit
from search.objectives.limits import LATENCY, limit_on, limits
from search.records import Cost
from spaces.names import expected


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
    """Upper limits on a student's costs, with one field for each entry of the table of limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def limits(self) -> dict[str, float]:
        """Return the bound of each limited cost, by the stored name of the cost."""
        bounds = {limit.cost: getattr(self, name) for name, limit in limits().items()}
        return {cost: bound for cost, bound in bounds.items() if bound is not None}

    def violations(self, cost: Cost) -> dict[str, float]:
        """Return the excess of each limited cost over its bound, relative to the bound.

        Above 0 the limit is broken; at or below 0 it holds. An unknown cost is left out.
        """
        return {
            name: cost[name] / bound - 1 for name, bound in self.limits().items() if name in cost
        }

    def admits(self, cost: Cost) -> bool:
        """Return whether every limit on a known cost holds."""
        return all(excess <= 0 for excess in self.violations(cost).values())

    def surely_admits(self, cost: Cost) -> bool:
        """Return whether every limit holds and no limited cost is unknown."""
        return self.admits(cost) and not self.is_uncertain(cost)

    def is_uncertain(self, cost: Cost) -> bool:
        """Return whether a limited cost is unknown."""
        return not self.limits().keys() <= cost.keys()

    @property
    def needs_timing(self) -> bool:
        """Whether the budget limits a cost that only the target can measure."""
        return any(limit_on(cost).is_timed for cost in self.limits())

    def __str__(self) -> str:
        """Return the limits in words, such as `size up to 300 KB, latency up to 2.00 ms`."""
        bounds = [
            f"{limit.label} up to {limit.format(bound)}"
            for cost, bound in self.limits().items()
            for limit in [limit_on(cost)]
        ]
        return ", ".join(bounds) or "no limit"

    def explain(self, cost: Cost) -> str:
        """Return the limits that `cost` breaks, in words; empty where it breaks none."""
        bounds = self.limits()
        return "; ".join(
            f"{limit.label} {limit.text(cost)} is above {limit.format(bounds[name])}"
            for name, excess in self.violations(cost).items()
            if excess > 0
            for limit in [limit_on(name)]
        )


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
    """Return the sum of the relative excesses over all broken limits; 0 if none is broken."""
    return sum(max(0.0, excess) for excess in violations.values())


def stored_budget(config: Mapping[str, object]) -> Budget:
    """Return a study's budget from its stored configuration, without the target.

    Raises:
        BadInput: it has a limit that is not installed on this machine.
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
    budget: Budget = Budget.model_validate({key: fields.get(key) for key in Budget.model_fields})
    return budget
