"""Parser of quantities as people write them: a number and its unit."""

import re
from collections.abc import Mapping

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_count(text: object) -> int:
    """Return the whole number of a text such as `500k`, `2M` or 500000.

    Raises:
        ValueError: the text is no such quantity, or not above 0.
    """
    return parse_whole(text, _COUNTS, bare="", example="500k, 2M or 500000")


def parse_quantity(
    text: object, units: Mapping[str, float], *, bare: str | None, example: str
) -> float:
    """Return the number that `text` stands for.

    Args:
        text: a number, or a number and a unit.
        units: the value of each unit, in small letters.
        bare: the unit of a plain number; None refuses a plain number.
        example: shown in the message of the error.

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
    """Parse as `parse_quantity` does, and round to a whole number, which must not be 0."""
    whole = round(parse_quantity(text, units, bare=bare, example=example))
    if whole == 0:
        raise ValueError(f"must be above 0 and finite, but got {text!r}")
    return whole
