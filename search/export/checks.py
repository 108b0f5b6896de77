"""The result of one check of `retort verify`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check; `holds` is None where it could not be made, or makes no claim."""

    name: str
    holds: bool | None
    found: str
