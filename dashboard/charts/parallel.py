"""Parallel coordinates: a line a trial, through what was chosen and what came of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.cloud import thinned
from dashboard.charts.figure import GROUND, new_figure
from dashboard.charts.palette import CHOSEN, CLOUD, FRONTIER
from dashboard.frames import varying
from search.units import format_bytes, format_count, format_milliseconds

_SHOWN_BESIDE_THE_FRONTIER = 300
_WIDTH_OF_AN_AXIS = 105
_MOST_AXES = 14
_MOST_LABELS = 8
# A range of numbers above 0 that spans more is drawn in logarithms.
_WIDE = 20.0

_MEASURED = {
    "accuracy": lambda value: f"{value:.1%}",
    "size_bytes": format_bytes,
    "latency_ms": format_milliseconds,
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis: where each row lies on it, 0 to 1 or NaN, and the labels at their places."""

    name: str
    places: "pd.Series[float]"
    labels: Sequence[tuple[float, str]]
    is_numeric: bool = False


def parallel_figure(
    trials: pd.DataFrame, parameters: Sequence[str], *, marked: Sequence[int]
) -> go.Figure:
    """A line for each trial that was measured.

    Args:
        trials: a frame as `trial_frame` gives it.
        parameters: its columns to draw, beside accuracy, size and latency.
        marked: trials that stand out.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. The frontier and at most
        300 others are drawn. Of the parameters those are drawn that differ between trials.
    """
    measured = trials[trials["accuracy"].notna() & trials["size_bytes"].notna()]
    drawn = thinned(measured, _SHOWN_BESIDE_THE_FRONTIER)
    drawn = pd.concat([drawn, measured[measured["number"].isin(marked)]]).drop_duplicates("number")
    scales = [scale(drawn[name], name) for name in varying(drawn, parameters)][:_MOST_AXES]
    scales += [scale(drawn[name], name) for name in _MEASURED]
    figure = new_figure(height=380, margin={"l": 50, "r": 60, "t": 56, "b": 16})
    is_marked = drawn["number"].isin(marked)
    groups = (
        (drawn[~drawn["on_frontier"] & ~is_marked], CLOUD, 1.0, 0.3),
        (drawn[drawn["on_frontier"] & ~is_marked], FRONTIER, 1.8, 0.3 if len(marked) else 0.8),
        (drawn[is_marked], CHOSEN, 3.0, 1.0),
    )
    for rows, colour, width, opacity in groups:
        if not rows.empty:
            figure.add_trace(_lines(rows, scales, colour=colour, width=width, opacity=opacity))
    _lay_out(figure, scales)
    return figure


def scale(values: "pd.Series[Any]", name: str) -> Scale:
    """The axis of a column: numbers from low to high, anything else by its name."""
    present = values.dropna()
    if len(present) and all(_is_number(value) for value in present):
        return _numeric(values.astype("float64"), name)
    options = sorted({str(value) for value in present})
    step = 1 / max(1, len(options) - 1)
    place = {option: i * step if len(options) > 1 else 0.5 for i, option in enumerate(options)}
    places = values.map(lambda value: math.nan if value is None else place.get(str(value)))
    every = max(1, math.ceil(len(options) / _MOST_LABELS))
    labels = [(place[option], option) for option in options[::every]]
    return Scale(name=name, places=places.astype("float64"), labels=labels)


def short_name(name: str) -> str:
    """A parameter's name without its axis: `soft_targets temperature`, `model`, `size`."""
    parts = name.removesuffix(".method").split(".")
    names = {"size_bytes": "size", "latency_ms": "latency"}
    text = parts[-1] if len(parts) < 3 or parts[-1] == "model" else " ".join(parts[1:])
    return names.get(text, text).replace("_", " ")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric(values: "pd.Series[float]", name: str) -> Scale:
    low, high = float(values.min()), float(values.max())
    is_log = low > 0 and high / low > _WIDE
    form = _MEASURED.get(name, _form_number)
    if is_log:
        values, low, high = values.map(math.log10), math.log10(low), math.log10(high)
    span = (high - low) or 1.0
    ends = [(share, low + share * span) for share in (0.0, 0.5, 1.0)]
    labels = [(share, form(10**value if is_log else value)) for share, value in ends]
    return Scale(name=name, places=(values - low) / span, labels=labels, is_numeric=True)


def _form_number(value: float) -> str:
    return format_count(value) if abs(value) >= 10_000 else f"{value:.3g}"


def _lines(
    rows: pd.DataFrame, scales: Sequence[Scale], *, colour: str, width: float, opacity: float
) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    held: list[list[object] | None] = []
    for index, number, text in zip(rows.index, rows["number"], _hover(rows), strict=True):
        for place, axis in enumerate(scales):
            at = axis.places.loc[index]
            if not math.isnan(at):
                xs.append(place)
                ys.append(at)
                held.append([number, text])
        # A gap, so that the line of one trial does not run on into that of the next.
        xs.append(None)
        ys.append(None)
        held.append(None)
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines+markers",
        line={"color": colour, "width": width},
        marker={"size": 4, "color": colour},
        opacity=opacity,
        customdata=held,
        hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    )


def _hover(rows: pd.DataFrame) -> Iterator[str]:
    for accuracy, size in zip(rows["accuracy"], rows["size_bytes"], strict=True):
        yield f"{accuracy:.1%} · {format_bytes(size)}"


def _lay_out(figure: go.Figure, scales: Sequence[Scale]) -> None:
    # On a phone the figure is scrolled sideways: squeezed, its labels would lie on one another.
    figure.update_layout(
        meta={"min_width": _WIDTH_OF_AN_AXIS * len(scales) + 110},
        xaxis={
            "range": [-0.1, len(scales) - 0.9],
            "tickvals": list(range(len(scales))),
            "ticktext": [escape(short_name(axis.name)).replace(" ", "<br>") for axis in scales],
            "side": "top",
            "showgrid": True,
            "zeroline": False,
            "fixedrange": True,
        },
        yaxis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
    )
    notes = [
        {
            "x": place,
            "y": at,
            "text": escape(label[:24]),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 4,
            "font": {"size": 10},
            "name": GROUND,
            "opacity": 0.85,
        }
        for place, axis in enumerate(scales)
        for at, label in axis.labels
    ]
    figure.update_layout(annotations=notes)
