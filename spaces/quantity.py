"""Quantities as people write them, to numbers: a number and its unit."""

import re
from collections.abc import Mapping

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_count(text: object) -> int:
    """A number such as `500k`, `2M` or 500000.

    Raises:
        ValueError: the text is no such quantity, or not above 0.
    """
    return parse_whole(text, _COUNTS, bare="", example="500k, 2M or 500000")


def parse_quantity(
    text: object, units: Mapping[str, float], *, bare: str | None, example: str
) -> float:
    """The number that `text` stands for.

    Args:
        text: a number, or a number and a unit.
        units: what each unit, in small letters, is worth.
        bare: the unit of a plain number; None refuses one.
        example: shown to whoever wrote something else.

    Raises:
        ValueError: the text is no such quantity, or not above 0 and finite.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"must be a quantity such as {example}, but got {text!r}")
    match = _QUANTITY.fullmatch(str(text))
    unit = (match[2].lower() or bare) if match else None
    if match is None or unit is None or unit not in units:
        raise ValueError(f"must be a quantity such as {example}, but got {text!r}")
    value = float(match[1]) * units[unit]
    if not 0 < value < float("inf"):
        raise ValueError(f"must be above 0 and finite, but got {text!r}")
    return value


def parse_whole(text: object, units: Mapping[str, float], *, bare: str, example: str) -> int:
    """As `parse_quantity`, rounded to a whole number that must not be 0."""
    whole = round(parse_quantity(text, units, bare=bare, example=example))
    if whole == 0:
        raise ValueError(f"must be above 0 and finite, but got {text!r}")
    return whole
