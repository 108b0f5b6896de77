"""The contract of a limit: a cost that a budget can bound and a search can minimise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.names import check_stored_name

if TYPE_CHECKING:
    from torch import nn


class Scaling(StrEnum):
    """The quantity that a cost is proportional to; it converts untrained costs to bounds."""

    SHAPES = "shapes"  # the network's shapes after pruning
    FILE = "file"  # the file's size after pruning and in its number format


@dataclass(frozen=True, kw_only=True)
class CountedStudent:
    """A student whose costs are counted without running it.

    Attributes:
        path: the served file.
        network: the float32 network, on the CPU.
        image_shape: channels, height and width of its images.
    """

    path: Path
    network: "nn.Module"
    image_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A cost that a budget can bound and a goal can minimise; less is better.

    Attributes:
        name: the key in a study file's budget, such as `size`; a stored name that never changes.
        cost: the stored name of its values, with their unit, such as `size_bytes`; it never changes
            either.
        label: the name for people, such as `MACs`.
        description: a text about the bounded quantity.
        parse: converts the user's input, such as `2MB`, to a number above 0; raises ValueError for
            other input.
        format: converts a value to text for people.
        write: converts a bound to input of `parse`; `int`, the default, if bounds are integers.
        takes: a text about the input of `parse`, such as `bytes, such as 2MB`.
        count: counts the value for a student; None only for latency, which the target measures.
        less: the word for a student that costs less, such as `smaller`.
        more: the word for a student that costs more.
        scaling: the quantity that the cost is proportional to.
        version: increase it with every change of `count`; stored costs are then counted again.
        also: the labels of further costs that are measured with it, by stored name. The name ends
            with `_share` if the cost is a share between 0 and 1; else it has the limit's unit.
        doubt: the name in `also` of a share that is above 0 if the value can't be trusted.

    Raises:
        ValueError: a name can't be stored.
    """

    name: str
    cost: str
    label: str
    description: str
    parse: Callable[[object], float]
    format: Callable[[float], str]
    takes: str
    count: Callable[[CountedStudent], float] | None
    write: Callable[[float], object] = int
    less: str = "lower"
    more: str = "higher"
    scaling: Scaling = Scaling.SHAPES
    version: int = 1
    also: Mapping[str, str] = field(default_factory=dict)
    doubt: str | None = None

    def __post_init__(self) -> None:
        check_stored_name("limit", self.name)
        for cost in (self.cost, *self.also):
            check_stored_name("cost", cost)

    @property
    def is_whole(self) -> bool:
        """Whether its bounds are integers."""
        return self.write is int

    def is_doubtful(self, cost: Mapping[str, float]) -> bool:
        """Return whether the value in `cost` can't be trusted."""
        return self.doubt is not None and cost.get(self.doubt, 0.0) > 0

    def text(self, cost: Mapping[str, float]) -> str:
        """Return the value in `cost` for people; a question mark follows if it is doubtful."""
        return self.format(cost[self.cost]) + (" ?" if self.is_doubtful(cost) else "")

    def also_text(self, name: str, value: float) -> str:
        """Return the value of a cost in `also` for people."""
        return f"{value:.0%}" if name.endswith("_share") else self.format(value)

    @property
    def is_timed(self) -> bool:
        """Whether only running the student on the target can measure it."""
        return self.count is None
