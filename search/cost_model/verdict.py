"""The verdict of admission on a recipe."""

from dataclasses import dataclass
from enum import StrEnum

from search.records import Cost


class Basis(StrEnum):
    """The evidence for a verdict."""

    CONFLICT = "conflict"  # the recipe contradicts itself
    UNSOUND = "unsound"  # its student can't be built, pruned, exported or quantized
    MEASURED = "measured"  # its own student was measured
    BOUND = "bound"  # a lower bound, from its weights or from a smaller student
    PREDICTED = "predicted"  # an estimate from other recipes; the limits lie outside its error


@dataclass(frozen=True, kw_only=True)
class CostVerdict:
    """The decision whether a recipe may be trained.

    Attributes:
        admitted: whether it may be trained.
        cost: the measured or predicted cost; None if unknown.
        reason: why it may not be trained; empty if it may.
        basis: the evidence for the verdict.
    """

    admitted: bool
    cost: Cost | None
    reason: str
    basis: Basis
