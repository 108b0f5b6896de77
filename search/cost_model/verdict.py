"""What admission says of a recipe."""

from dataclasses import dataclass
from enum import StrEnum

from search.records import Cost


class Basis(StrEnum):
    """What a verdict rests on."""

    CONFLICT = "conflict"  # the recipe contradicts itself
    UNSOUND = "unsound"  # its student can't be built, pruned, exported or quantized
    MEASURED = "measured"  # its own untrained student
    BOUND = "bound"  # its weights alone, or a student of the family that is smaller for certain
    PREDICTED = "predicted"  # others, with the budget's limits outside the error


@dataclass(frozen=True, kw_only=True)
class CostVerdict:
    """Whether a recipe may be trained.

    Attributes:
        admitted: whether it may.
        cost: what is known of it; measured, or as it is predicted; None where nothing is.
        reason: why it may not; empty where it may.
        basis: what the verdict rests on.
    """

    admitted: bool
    cost: Cost | None
    reason: str
    basis: Basis
