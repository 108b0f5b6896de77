"""The verdict of admission on a recipe."""

from dataclasses import dataclass
from enum import StrEnum

from search.records import Cost


class Basis(StrEnum):
    """The evidence for a verdict."""

    CONFLICT = "conflict"  # the recipe contradicts itself
    UNSOUND = "unsound"  # its student can't be built, pruned, exported or quantized
    MEASURED = "measured"  # its own untrained student
    BOUND = "bound"  # its weights alone, or a smaller student of the family
    PREDICTED = "predicted"  # others, with the budget's limits outside the error


@dataclass(frozen=True, kw_only=True)
class CostVerdict:
    """Whether a recipe may be trained.

    Attributes:
        admitted: whether it may.
        cost: measured or predicted; None where nothing is known.
        reason: why it may not; empty where it may.
        basis: the evidence for the verdict.
    """

    admitted: bool
    cost: Cost | None
    reason: str
    basis: Basis
