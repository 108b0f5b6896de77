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
    """What a student's cost is proportional to, if an untrained student was measured."""

    SHAPES = "shapes"  # what pruning leaves of the network
    FILE = "file"  # what pruning and the number format leave of the file


@dataclass(frozen=True, kw_only=True)
class CountedStudent:
    """A student on which a cost can be counted without running anything.

    Attributes:
        path: the file that is served.
        network: the student in floats, on the CPU.
        image_shape: channels, height and width that it takes.
    """

    path: Path
    network: "nn.Module"
    image_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A cost that can be bounded; less is better.

    Attributes:
        name: the key of a study file's budget, such as `size`; a stored name that never changes.
        cost: the name under which its values are stored, with their unit, such as `size_bytes`;
            it never changes either.
        label: for people, such as `MACs`.
        description: what the limit bounds from above.
        parse: turns what a person writes, such as `2MB`, into a number above 0; else ValueError.
        format: turns a value into text for people.
        write: turns a bound into what `parse` reads; `int`, the default, where bounds are whole.
        takes: what `parse` reads, in words, such as `bytes, such as 2MB`.
        count: its value for a student; None for latency alone, which the target measures.
        less: the word for a student that costs less, such as `smaller`.
        more: the word for a student that costs more.
        scaling: what the cost is proportional to.
        version: to be increased with every change of `count`, so that costs counted before are
            counted anew.
        also: labels of further costs that are measured with it, by stored name.

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

    def __post_init__(self) -> None:
        check_stored_name("limit", self.name)
        for cost in (self.cost, *self.also):
            check_stored_name("cost", cost)

    @property
    def is_whole(self) -> bool:
        """Whether its bounds are whole numbers."""
        return self.write is int

    @property
    def is_timed(self) -> bool:
        """Whether it can only be measured by running the student on the target."""
        return self.count is None
