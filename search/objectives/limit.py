"""The contract of a limit: a cost that a budget can bound and a search can minimise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Scaling(StrEnum):
    """What a student's cost is proportional to, where an untrained one was measured."""

    SHAPES = "shapes"  # what pruning leaves of the network
    FILE = "file"  # what pruning and the number format leave of the file


@dataclass(frozen=True, kw_only=True)
class CountedStudent:
    """What a cost can be counted on, without running anything.

    Attributes:
        path: the file that is served.
        network: its float form, on the CPU.
        image_shape: channels, height and width that it takes.
    """

    path: Path
    network: "nn.Module"
    image_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A cost that can be bounded; less is better.

    Attributes:
        name: the key of a study file's budget, such as `size`; a stored name, for ever.
        cost: under which its values are stored, with their unit, such as `size_bytes`; likewise.
        label: for people, such as `MACs`.
        description: of what it is the upper bound.
        parse: from what a person writes, such as `2MB`, to a number above 0; ValueError else.
        format: how a value is written for people.
        write: how a bound is written so that `parse` reads it again.
        takes: what `parse` reads, in words, such as `bytes, such as 2MB`.
        count: its value for a student; None where the target's clock tells, as of a latency.
        less: how a student that costs less is called, such as `smaller`.
        more: how one that costs more is called.
        scaling: what it shrinks with.
        also: further costs that come with its measuring, by stored name: their labels.
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
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_timed(self) -> bool:
        """Whether only the target can tell it, by running the student."""
        return self.count is None
