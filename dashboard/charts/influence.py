"""Importance of parameters, and an objective against one or two of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboard.charts.drawn import thinned
from dashboard.charts.figure import as_text, new_figure
from dashboard.charts.measures import Measure
from dashboard.charts.palette import CLOUD, FRONTIER, SERIES
from dashboard.charts.scale import Scale, scale, short_name

_CELLS = 16
_MOST_BARS = 20


def importance_figure(
    found: Mapping[str, Mapping[str, float]], objectives: Mapping[str, Measure]
) -> go.Figure:
    """Return a figure with a group of bars for each parameter, a bar for each objective.

    Args:
        found: the importance of each parameter, as a share, for each objective.
        objectives: the study's objectives, by column.
    """
    total = pd.DataFrame(found).fillna(0.0)
    names = total.sum(axis=1).sort_values(ascending=False).index[:_MOST_BARS]
    figure = new_figure(height=90 + 46 * len(names), showlegend=True, barmode="group")
    labels = [as_text(short_name(str(name))) for name in names]
    for (objective, measure), colour in zip(objectives.items(), SERIES, strict=False):
        if objective not in total:
            continue
        figure.add_trace(
            go.Bar(
                name=measure.title,
                orientation="h",
                y=labels,
                x=[total.loc[name, objective] for name in names],
                marker={"color": colour},
                hovertemplate=f"%{{y}} for {measure.name}: %{{x:.1%}}<extra></extra>",
            )
        )
    figure.update_layout(
        xaxis={"tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "type": "category", "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def slice_figure(trials: pd.DataFrame, parameter: str, objective: Measure) -> go.Figure | None:
    """Return a figure of the objective against one parameter; None without trials.

    It shows the frontier and at most 2,000 other trials. Points carry the trial's number as
    `customdata[0]`.
    """
    known = trials[trials[objective.column].notna() & trials[parameter].notna()]
    if known.empty:
        return None
    drawn = thinned(known)
    axis = scale(drawn[parameter], parameter)
    figure = new_figure()
    members = drawn["on_frontier"]
    for rows, colour, size in ((drawn[~members], CLOUD, 7), (drawn[members], FRONTIER, 10)):
        if rows.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=axis.places.loc[rows.index] + _jitter(rows, axis),
                y=rows[objective.column],
                mode="markers",
                marker={"color": colour, "size": size, "opacity": 0.7},
                customdata=[
                    [number, as_text(str(value))]
                    for number, value in zip(rows["number"], rows[parameter], strict=True)
                ],
                hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
                unselected={"marker": {"opacity": 0.2}},
                selected={"marker": {"opacity": 1.0}},
            )
        )
    figure.update_layout(xaxis=_ticks(axis), yaxis=_objective_axis(objective))
    return figure


def contour_figure(
    trials: pd.DataFrame, across: str, up: str, objective: Measure
) -> go.Figure | None:
    """Return a figure of the objective's mean over two parameters; None for fewer than 3 trials.

    Two numeric parameters give a contour plot. If one of them is categorical, the figure is
    a heat map. Points carry the trial's number as `customdata[0]`.
    """
    known = trials[trials[[objective.column, across, up]].notna().all(axis=1)]
    if len(known) < 3:
        return None
    first, second = scale(known[across], across), scale(known[up], up)
    cells = _cells(first, second, known[objective.column])
    figure = new_figure()
    is_smooth = first.is_numeric and second.is_numeric
    figure.add_trace(_ground(cells, objective, is_smooth=is_smooth))
    drawn = thinned(known, 500)
    figure.add_trace(
        go.Scatter(
            x=first.places.loc[drawn.index] + _jitter(drawn, first),
            y=second.places.loc[drawn.index] + _jitter(drawn, second),
            mode="markers",
            marker={"size": 5, "color": "#ffffff", "line": {"width": 1, "color": "#333333"}},
            customdata=[
                [number, objective.label(value)]
                for number, value in zip(drawn["number"], drawn[objective.column], strict=True)
            ],
            hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        )
    )
    figure.update_layout(xaxis=_ticks(first), yaxis=_ticks(second))
    return figure


def _ground(cells: "_Cells", objective: Measure, *, is_smooth: bool) -> go.Contour | go.Heatmap:
    common = {
        "x": cells.xs,
        "y": cells.ys,
        "z": cells.means,
        "colorscale": "Viridis",
        "reversescale": not objective.is_maximized,
        "colorbar": {"title": {"text": objective.title}, **_colour_ticks(objective, cells)},
        "hoverinfo": "skip",
    }
    if is_smooth:
        return go.Contour(**common, connectgaps=True, line={"width": 0.5})
    return go.Heatmap(**common, xgap=2, ygap=2)


@dataclass(frozen=True)
class _Cells:
    """Means over a grid, [ys, xs]; NaN where there is no trial."""

    xs: Sequence[float]
    ys: Sequence[float]
    means: NDArray[np.float64]


def _cells(first: Scale, second: Scale, values: "pd.Series[float]") -> _Cells:
    xs, columns = _binned(first)
    ys, rows = _binned(second)
    sums, counts = np.zeros((len(ys), len(xs))), np.zeros((len(ys), len(xs)))
    np.add.at(sums, (rows.to_numpy(), columns.to_numpy()), values.to_numpy())
    np.add.at(counts, (rows.to_numpy(), columns.to_numpy()), 1)
    means = np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts > 0)
    return _Cells(xs, ys, means)


def _binned(axis: Scale) -> tuple[list[float], "pd.Series[int]"]:
    """Return the places of the cells and each row's cell.

    If there are few places, or options, each one is a cell.
    """
    places = sorted(axis.places.unique())
    if axis.is_numeric and len(places) > _CELLS:
        places = [i / (_CELLS - 1) for i in range(_CELLS)]
    nearest = axis.places.map(lambda at: min(range(len(places)), key=lambda i: abs(places[i] - at)))
    return places, nearest.astype("int64")


def _jitter(rows: pd.DataFrame, axis: Scale) -> "pd.Series[float]":
    """Return a small shift for the points of each category; 0 for numbers."""
    width = 0.0 if axis.is_numeric else 0.12 / max(1, len(axis.labels))
    # The shift depends on the trial's number, so that points in a live figure don't move.
    shift = ((rows["number"] * 0.618034) % 1 - 0.5) * 2 * width
    return shift.astype("float64")


def _ticks(axis: Scale) -> dict[str, object]:
    return {
        "title": {"text": as_text(short_name(axis.name))},
        "tickvals": [at for at, _ in axis.ticks],
        "ticktext": [_in_lines(label) for _, label in axis.ticks],
        "zeroline": False,
        "range": [-0.08, 1.08] if axis.is_numeric else _around_options(axis),
        "automargin": True,
    }


def _in_lines(label: str) -> str:
    """Break a long label into two lines, so that several labels fit on a phone."""
    middle = label.find("_", len(label) // 4)
    if len(label) < 11 or middle < 0:
        return as_text(label)
    return f"{as_text(label[: middle + 1])}<br>{as_text(label[middle + 1 :])}"


def _around_options(axis: Scale) -> tuple[float, float]:
    """Return the range from half a step before the first option to half a step after the last."""
    half = 0.5 / max(1, len(set(axis.places.dropna())) - 1)
    return -half, 1 + half


def _objective_axis(objective: Measure) -> dict[str, object]:
    axis: dict[str, object] = {
        "title": {"text": objective.title},
        "tickformat": objective.tick_format,
        "automargin": True,
    }
    if objective.is_share:
        return {**axis, "autorangeoptions": {"clipmin": 0, "clipmax": 1.02}}
    return {**axis, "type": "log"} if objective.is_cost else axis


def _colour_ticks(objective: Measure, cells: _Cells) -> dict[str, object]:
    low, high = float(np.nanmin(cells.means)), float(np.nanmax(cells.means))
    values = [low + share * (high - low) for share in (0, 0.25, 0.5, 0.75, 1)]
    return {"tickvals": values, "ticktext": [objective.label(value) for value in values]}
