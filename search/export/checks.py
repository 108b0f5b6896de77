"""What `retort verify` finds out, one thing at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; `holds` is None where it could not be, or claims nothing."""

    name: str
    holds: bool | None
    found: str
