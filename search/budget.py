"""The budget: the most that a student may cost. Pure; its checks are the whole project's."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from search.records import Cost
from search.units import (
    Bytes,
    Count,
    Milliseconds,
    format_bytes,
    format_count,
    format_milliseconds,
)

COST_NAMES = {
    "size_bytes": ("size", format_bytes),
    "latency_ms": ("latency", format_milliseconds),
    "parameters": ("parameters", format_count),
    "macs": ("MACs", format_count),
}
"""Of each cost that can be limited: its name for people, and how its values are written."""


class Budget(BaseModel):
    """Upper limits on a student's cost; None leaves a cost free."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Bytes | None = Field(None, description="of the file that is shipped")
    latency: Milliseconds | None = Field(None, description="the median, for one image at a time")
    parameters: Count | None = Field(None, description="numbers that were learned")
    macs: Count | None = Field(None, description="multiply-accumulates for one image")

    def limits(self) -> dict[str, float]:
        """The bound of each cost that is limited, by the name it has in `Cost`."""
        bounds = {
            "size_bytes": self.size,
            "latency_ms": self.latency,
            "parameters": self.parameters,
            "macs": self.macs,
        }
        return {cost: float(bound) for cost, bound in bounds.items() if bound is not None}

    def violations(self, cost: Cost) -> dict[str, float]:
        """How far each limited cost lies from its bound, relative to the bound.

        Above 0 the limit is broken, at or below 0 it holds. A latency that was not measured is
        left out.
        """
        return {
            name: value / bound - 1
            for name, bound in self.limits().items()
            if (value := getattr(cost, name)) is not None
        }

    def admits(self, cost: Cost) -> bool:
        """Whether every limit that could be checked holds."""
        return all(excess <= 0 for excess in self.violations(cost).values())

    def __str__(self) -> str:
        """Such as `size up to 300 KB, latency up to 2.00 ms`."""
        limits = [
            f"{label} up to {form(bound)}"
            for name, bound in self.limits().items()
            for label, form in [COST_NAMES[name]]
        ]
        return ", ".join(limits) or "no limit"

    def explain(self, cost: Cost) -> str:
        """The limits that `cost` breaks, in words; empty where it breaks none."""
        broken = [name for name, excess in self.violations(cost).items() if excess > 0]
        limits = self.limits()
        return "; ".join(
            f"{label} {form(getattr(cost, name))} is above {form(limits[name])}"
            for name in broken
            for label, form in [COST_NAMES[name]]
        )


def cost_texts(cost: Cost | None) -> tuple[str, ...]:
    """Bytes, latency, parameters and MACs as people read them; a dash for what is not known."""
    values = (getattr(cost, name) if cost else None for name in COST_NAMES)
    return tuple(
        "–" if value is None else form(value)
        for value, (_, form) in zip(values, COST_NAMES.values(), strict=True)
    )


def total_violation(violations: Mapping[str, float]) -> float:
    """The sum of all broken limits' relative excess; 0 where none is broken."""
    return sum(max(0.0, excess) for excess in violations.values())


def stored_budget(config: Mapping[str, object]) -> Budget:
    """The budget of a study as the store keeps it; without the target that stands beside it."""
    stored = config.get("budget")
    fields = stored if isinstance(stored, Mapping) else {}
    return Budget.model_validate({key: fields.get(key) for key in Budget.model_fields})
