"""Parser of quantities that consist of a number and a unit."""

import re
from collections.abc import Mapping

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_count(text: object) -> int:
    """Return the whole number of a text such as `500k`, `2M` or 500000.

    Raises:
        ValueError: the text is not such a quantity, or its number is not above 0.
    """
    return parse_whole(text, _COUNTS, bare="", example="500k, 2M or 500000")


def parse_quantity(
    text: object, units: Mapping[str, float], *, bare: str | None, example: str
) -> float:
    """Return the value of a quantity.

    Args:
        text: a number, or a number and a unit.
        units: the value of each unit, by its name in lower case.
        bare: the unit of a number without a unit; None refuses such a number.
        example: a valid quantity, for the error message.

    Raises:
        ValueError: the text is not such a quantity, or its value is not above 0 and finite.
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
    """Return the value of a quantity, rounded to a whole number above 0; see `parse_quantity`."""
    whole = round(parse_quantity(text, units, bare=bare, example=example))
    if whole == 0:
        raise ValueError(f"must be above 0 and finite, but got {text!r}")
    return whole
