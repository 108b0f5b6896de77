"""Accuracy against what a student costs: every trial, the frontier over them, the teacher."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.axes import CostAxis
from dashboard.charts.drawn import frontier_line, thinned, within
from dashboard.charts.figure import as_text, new_figure
from dashboard.charts.ground import accuracy_reach, cost_range, draw_limits, lay_out
from dashboard.charts.palette import CHOSEN, FRONTIER, LOOKS, RIM, TEACHER
from dashboard.frames import recipe_columns
from search.records import TeacherRecord, TrialState
from search.units import format_bytes, format_milliseconds

_BEYOND_LIMITS = 0.4


def cloud_points(trials: pd.DataFrame, axis: CostAxis) -> pd.DataFrame:
    """Of a frame that `trial_frame` gave: what is drawn against this cost, with its `hover` text.

    At most 2,000 trials beside the frontier.
    """
    drawn = thinned(trials[trials[axis.column].notna()])
    return drawn.assign(hover=list(_hover(drawn)))


def accuracy_figure(
    points: pd.DataFrame,
    axis: CostAxis,
    *,
    limits: Mapping[str, float],
    teacher: TeacherRecord | None,
    chosen: int | None = None,
) -> go.Figure:
    """Accuracy against one cost, on a log axis.

    Args:
        points: as `cloud_points` gives them; they don't hang on the limits.
        axis: the cost.
        limits: bounds by column; trials beyond any of them, or below one on `accuracy`, fade.
        teacher: drawn as a star.
        chosen: the trial that gets a ring.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. Trials whose cost is
        known and whose accuracy is not stand as ticks under it. Where a few accuracies lie far
        below the rest, the axis begins above them, and says how many there are.
    """
    drawn = points.assign(is_within=within(points, limits))
    trained = drawn[drawn["accuracy"].notna()]
    untrained = drawn[drawn["accuracy"].isna()]
    figure = new_figure(uirevision=axis.column)
    ring = trained[trained["number"] == chosen]
    figure.add_traces(
        [
            *_cloud(trained, axis),
            *_rug(untrained, axis),
            *_frontier(trained, axis),
            *([] if ring.empty else [_ring(ring, axis)]),
        ]
    )
    if teacher is not None:
        figure.add_traces(list(_star(teacher, axis)))
    others = [float(ring["accuracy"].iloc[0])] if len(ring) else []
    others += [] if teacher is None else [teacher.accuracy]
    others += [limits["accuracy"]] if "accuracy" in limits else []
    reach = accuracy_reach(trained["accuracy"], others)
    lay_out(figure, axis, reach, has_rug=not untrained.empty)
    span = cost_range(points, axis, limit=limits.get(axis.column), teacher=teacher)
    if span is not None:
        figure.update_xaxes(range=span)
        draw_limits(figure, axis, limits, span=span)
    return figure


def _cloud(trials: pd.DataFrame, axis: CostAxis) -> Iterator[go.Scatter]:
    for state, look in LOOKS.items():
        rows = trials[(trials["state"] == state.value) & ~trials["on_frontier"]]
        if rows.empty:
            continue
        marker = {"color": look.colour, "symbol": look.symbol, "size": 8}
        yield _points(rows, axis, rows["accuracy"], name=look.name, marker=marker, opacity=0.75)


def _rug(trials: pd.DataFrame, axis: CostAxis) -> Iterator[go.Scatter]:
    for state, look in LOOKS.items():
        rows = trials[trials["state"] == state.value]
        if rows.empty:
            continue
        symbol = "x-thin-open" if state is TrialState.FAILED else "line-ns-open"
        line = {"width": 1.5, "color": look.colour}
        marker = {"color": look.colour, "symbol": symbol, "size": 10, "line": line}
        heights = pd.Series(0.5, index=rows.index)
        yield _points(rows, axis, heights, name=look.name, marker=marker).update(yaxis="y2")


def _frontier(trials: pd.DataFrame, axis: CostAxis) -> Iterator[go.Scatter]:
    members = trials[trials["on_frontier"]]
    if members.empty:
        return
    line = frontier_line(trials, axis.column)
    yield go.Scatter(
        x=line[axis.column],
        y=line["accuracy"],
        mode="lines",
        line={"color": FRONTIER, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )
    marker = {"color": FRONTIER, "size": 11, "line": {"width": 1.5, "color": RIM}}
    yield _points(members, axis, members["accuracy"], name="Frontier", marker=marker)


def _ring(chosen: pd.DataFrame, axis: CostAxis) -> go.Scatter:
    return go.Scatter(
        x=chosen[axis.column],
        y=chosen["accuracy"],
        mode="markers+text",
        name="Chosen",
        marker={"color": CHOSEN, "symbol": "circle-open", "size": 20, "line": {"width": 3}},
        text=[f"trial {number}" for number in chosen["number"]],
        textposition="top center",
        textfont={"color": CHOSEN},
        hoverinfo="skip",
    )


def _points(
    rows: pd.DataFrame,
    axis: CostAxis,
    heights: "pd.Series[float]",
    *,
    name: str,
    marker: dict[str, object],
    opacity: float = 1.0,
) -> go.Scatter:
    # SVG and not WebGL: so few points need none, and a machine without it would show nothing.
    fading = rows["is_within"].map({True: opacity, False: opacity * _BEYOND_LIMITS})
    return go.Scatter(
        x=rows[axis.column],
        y=heights,
        mode="markers",
        name=name,
        marker={**marker, "opacity": fading},
        # As an array: plotly walks through lists, value by value.
        customdata=rows[["number", "hover"]].to_numpy(dtype=object),
        hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        unselected={"marker": {"opacity": 0.25}},
        selected={"marker": {"opacity": 1.0}},
    )


def _hover(rows: pd.DataFrame) -> Iterator[str]:
    names = ("accuracy", "size_bytes", "latency_ms", *recipe_columns(rows), "note")
    columns = (rows[name] for name in names)
    for accuracy, size, latency, *choices, note in zip(*columns, strict=True):
        measured = [
            "no accuracy" if math.isnan(accuracy) else f"{accuracy:.1%}",
            format_bytes(size),
            "not timed" if math.isnan(latency) else format_milliseconds(latency),
        ]
        chosen = list(filter(None, choices))
        # In short lines, or a narrow chart cuts them off.
        recipe = [" · ".join(chosen[place : place + 3]) for place in range(0, len(chosen), 3)]
        lines = [" · ".join(measured), *recipe, str(note)[:60]]
        yield "<br>".join(as_text(line) for line in lines if line)


def _star(teacher: TeacherRecord, axis: CostAxis) -> Iterator[go.Scatter]:
    place = axis.of(teacher.cost)
    if place is None:
        return
    line = {"width": 1, "color": RIM}
    yield go.Scatter(
        x=[place],
        y=[teacher.accuracy],
        mode="markers",
        name="Teacher",
        marker={"color": TEACHER, "symbol": "star", "size": 16, "line": line},
        hovertemplate=f"<b>Teacher</b> {as_text(teacher.name)}<br>{teacher.accuracy:.1%} · "
        f"{axis.label(place)}<extra></extra>",
        unselected={"marker": {"opacity": 1.0}},
    )
