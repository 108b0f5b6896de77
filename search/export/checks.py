"""The result of one check of `retort verify`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: the property or the file that was checked.
        holds: whether the check passed; None if it could not be run, or has nothing to compare
            with.
        found: the result, in words.
    """

    name: str
    holds: bool | None
    found: str
