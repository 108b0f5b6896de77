"""The costs that accuracy is drawn against."""

from collections.abc import Callable
from dataclasses import dataclass

from search.records import Cost
from search.units import format_bytes, format_milliseconds


@dataclass(frozen=True, kw_only=True)
class CostAxis:
    """A cost to draw accuracy against.

    Attributes:
        column: its name in `Cost` and in the frame of trials.
        title: what stands under the axis, with the unit of its ticks.
        tick_format: how d3 writes them.
        label: how a value is written elsewhere.
    """

    column: str
    title: str
    tick_format: str
    label: Callable[[float], str]

    def of(self, cost: Cost) -> float | None:
        """Where `cost` lies on this axis; None where it was not measured."""
        value: float | None = getattr(cost, self.column)
        return value


SIZE = CostAxis(
    column="size_bytes", title="Size on disk, bytes", tick_format="~s", label=format_bytes
)
LATENCY = CostAxis(
    column="latency_ms",
    title="Latency of one image, ms",
    tick_format="~g",
    label=format_milliseconds,
)
COST_AXES = (SIZE, LATENCY)
