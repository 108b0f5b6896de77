"""Parallel coordinates: one line per trial, through its recipe and its results."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.drawn import thinned
from dashboard.charts.figure import GROUND, as_text, new_figure
from dashboard.charts.measures import Measure
from dashboard.charts.palette import CHOSEN, CLOUD, FRONTIER
from dashboard.charts.scale import Scale, scale, short_name
from dashboard.frames import varying

_SHOWN_BESIDE_THE_FRONTIER = 300
_WIDTH_OF_AN_AXIS = 84
# So many axes, with the objectives, fit into a window of 1280 pixels.
_MOST_AXES = 9
# More lines are drawn fainter, so that single lines remain visible.
_CLEAR = 60


def parallel_figure(
    trials: pd.DataFrame,
    parameters: Sequence[str],
    objectives: Mapping[str, Measure],
    *,
    marked: Sequence[int],
) -> go.Figure | None:
    """Return a figure with a line for each measured trial; None for fewer than two trials.

    Args:
        trials: a frame from `trial_frame`.
        parameters: its columns to draw, beside the objectives.
        objectives: the study's objectives, by column; the metric first.
        marked: trials to highlight.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. It shows the frontier
        and at most 300 other trials, and up to nine of the parameters that differ between trials,
        sorted by how many trials have a value.
    """
    score, *costs = objectives
    measured = trials[trials[score].notna() & trials[costs].notna().any(axis=1)]
    if len(measured) < 2:
        return None
    drawn = thinned(measured, _SHOWN_BESIDE_THE_FRONTIER)
    drawn = pd.concat([drawn, measured[measured["number"].isin(marked)]]).drop_duplicates("number")
    scales = [scale(drawn[name], name) for name in varying(drawn, parameters)][:_MOST_AXES]
    scales += [scale(drawn[name], name) for name in objectives]
    figure = new_figure(height=380, margin={"l": 50, "r": 60, "t": 56, "b": 16})
    is_marked = drawn["number"].isin(marked)
    groups = (
        (drawn[~drawn["on_frontier"] & ~is_marked], CLOUD, 1.0, 0.3),
        (drawn[drawn["on_frontier"] & ~is_marked], FRONTIER, 1.8, 0.3 if len(marked) else 0.8),
        (drawn[is_marked], CHOSEN, 3.0, 1.0),
    )
    for rows, colour, width, opacity in groups:
        if not rows.empty:
            faint = opacity * min(1.0, max(0.25, _CLEAR / len(rows)))
            figure.add_trace(
                _lines(rows, scales, objectives, colour=colour, width=width, opacity=faint)
            )
    _lay_out(figure, scales)
    return figure


def _lines(
    rows: pd.DataFrame,
    scales: Sequence[Scale],
    objectives: Mapping[str, Measure],
    *,
    colour: str,
    width: float,
    opacity: float,
) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    held: list[list[object] | None] = []
    for index, number, text in zip(
        rows.index, rows["number"], _hover(rows, objectives), strict=True
    ):
        for place, axis in enumerate(scales):
            at = axis.places.loc[index]
            if not math.isnan(at):
                xs.append(place)
                ys.append(at)
                held.append([number, text])
        # The gap separates the lines of two trials.
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


def _hover(rows: pd.DataFrame, objectives: Mapping[str, Measure]) -> Iterator[str]:
    for values in zip(*(rows[name] for name in objectives), strict=True):
        known = zip(objectives.values(), values, strict=True)
        yield " · ".join(one.label(value) for one, value in known if not math.isnan(value))


def _lay_out(figure: go.Figure, scales: Sequence[Scale]) -> None:
    # On a phone the figure scrolls sideways, because its labels would overlap in a narrow one.
    figure.update_layout(
        meta={"min_width": _WIDTH_OF_AN_AXIS * len(scales) + 110},
        xaxis={
            "range": [-0.1, len(scales) - 0.9],
            "tickvals": list(range(len(scales))),
            "ticktext": [as_text(short_name(axis.name)).replace(" ", "<br>") for axis in scales],
            "side": "top",
            "showgrid": True,
            "zeroline": False,
            "fixedrange": True,
        },
        yaxis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
    )
    labels = [
        {
            "x": place,
            "y": at,
            "text": as_text(label[:24]),
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
    figure.update_layout(annotations=labels)
