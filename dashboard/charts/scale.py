"""Scale of a column: positions of its values on an axis, and the axis's labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard.charts.measures import all_measures
from search.objectives.units import format_count

_MOST_LABELS = 8
_MOST_TICKS = 6
# A range of numbers above 0 that spans more than this has a log scale.
_WIDE = 20.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis, with the position of each row on it, 0 to 1 or NaN.

    Attributes:
        name: the column's name.
        places: the rows' positions.
        labels: the texts at the ends and the middle, or the options, at their positions.
        ticks: round numbers, or the options, at their positions.
        is_numeric: whether the column holds numbers.
    """

    name: str
    places: "pd.Series[float]"
    labels: Sequence[tuple[float, str]]
    ticks: Sequence[tuple[float, str]]
    is_numeric: bool = False


def scale(values: "pd.Series[Any]", name: str) -> Scale:
    """Return the axis of a column: numbers from low to high, other values in alphabetical order."""
    present = values.dropna()
    if len(present) and all(_is_number(value) for value in present):
        return _numeric(values.astype("float64"), name)
    options = sorted({str(value) for value in present})
    step = 1 / max(1, len(options) - 1)
    place = {option: i * step if len(options) > 1 else 0.5 for i, option in enumerate(options)}
    places = values.map(lambda value: math.nan if value is None else place.get(str(value)))
    every = max(1, math.ceil(len(options) / _MOST_LABELS))
    labels = [(place[option], option) for option in options[::every]]
    return Scale(name=name, places=places.astype("float64"), labels=labels, ticks=labels)


def short_name(name: str) -> str:
    """Return a parameter's name without its axis: `soft_targets temperature`, `model`, `size`."""
    parts = name.removesuffix(".method").split(".")
    text = parts[-1] if len(parts) < 3 or parts[-1] == "model" else " ".join(parts[1:])
    measure = all_measures().get(text)
    return measure.name if measure else text.replace("_", " ")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric(values: "pd.Series[float]", name: str) -> Scale:
    low, high = float(values.min()), float(values.max())
    measure = all_measures().get(name)
    form = measure.label if measure else _form_number
    if low == high:
        middle = values.where(values.isna(), 0.5)
        labels = [(0.5, form(low))]
        return Scale(name=name, places=middle, labels=labels, ticks=labels, is_numeric=True)
    is_log = low > 0 and high / low > _WIDE
    round_numbers = _powers(low, high) if is_log else _multiples(low, high)
    if is_log:
        values, low, high = values.map(math.log10), math.log10(low), math.log10(high)
    span = high - low
    ends = [(share, low + share * span) for share in (0.0, 0.5, 1.0)]
    return Scale(
        name=name,
        places=(values - low) / span,
        labels=[(share, form(10**value if is_log else value)) for share, value in ends],
        ticks=[
            (((math.log10(number) if is_log else number) - low) / span, form(number))
            for number in round_numbers
        ],
        is_numeric=True,
    )


def _multiples(low: float, high: float) -> list[float]:
    """Return three to six round numbers at even steps."""
    rough = (high - low) / (_MOST_TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return the powers of ten in the range, and 2 and 5 times each if there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        found = [number for number in found if low * 0.999 <= number <= high * 1.001]
        if len(found) <= _MOST_TICKS:
            break
    return found


def _form_number(value: float) -> str:
    return format_count(value) if abs(value) >= 10_000 else f"{value:.3g}"
