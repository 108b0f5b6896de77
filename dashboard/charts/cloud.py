"""Accuracy against what a student costs: every trial, the frontier over them, the budget."""

import math
from collections.abc import Iterator, Mapping
from html import escape

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.axes import CostAxis
from dashboard.charts.figure import new_figure
from dashboard.charts.palette import BUDGET, CHOSEN, FRONTIER, LOOKS, RIM, TEACHER
from dashboard.frames import recipe_columns
from search.records import TeacherRecord, TrialState
from search.units import format_bytes, format_milliseconds

SHOWN_BESIDE_THE_FRONTIER = 2000
_RUG_SHARE = 0.07
_SPACE_SHARE = 0.06
_BEYOND_LIMITS = 0.18


def accuracy_figure(
    trials: pd.DataFrame,
    axis: CostAxis,
    *,
    limits: Mapping[str, float],
    teacher: TeacherRecord | None,
    chosen: int | None = None,
) -> go.Figure:
    """Accuracy against one cost, on a log axis.

    Args:
        trials: a frame as `trial_frame` gives it.
        axis: the cost.
        limits: bounds by column; trials beyond any of them, or below one on `accuracy`, fade.
        teacher: drawn as a star.
        chosen: the trial that gets a ring.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. Trials whose cost is
        known and whose accuracy is not stand as ticks under it. At most 2,000 trials are drawn
        beside the frontier.
    """
    known = trials[trials[axis.column].notna()]
    drawn = thinned(known)
    drawn = drawn.assign(is_within=within(drawn, limits), hover=list(_hover(drawn)))
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
    _lay_out(figure, axis, has_rug=not untrained.empty)
    if (limit := limits.get(axis.column)) is not None:
        _draw_limit(figure, limit, axis.label(limit))
    if (floor := limits.get("accuracy")) is not None:
        line = {"color": BUDGET, "width": 1.5, "dash": "dash"}
        figure.add_shape(type="line", x0=0, x1=1, xref="paper", y0=floor, y1=floor, line=line)
    _set_range(figure, axis, known, limit=limit, teacher=teacher)
    return figure


def within(trials: pd.DataFrame, limits: Mapping[str, float]) -> "pd.Series[bool]":
    """Which trials keep all limits that can be checked: upper ones, and a lower one on accuracy."""
    kept = pd.Series(True, index=trials.index)
    for column, bound in limits.items():
        if column == "accuracy":
            kept &= ~(trials[column] < bound)
        else:
            kept &= ~(trials[column] > bound)
    return kept


def frontier_line(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frontier's trials that no other one betters in accuracy and this cost alone, by cost.

    The frontier is of accuracy, size and latency together, so some of its trials lie below this
    line: they are better in the cost that is not drawn.
    """
    members = trials[trials["on_frontier"] & trials[column].notna()]
    members = members.sort_values([column, "accuracy"], ascending=[True, False])
    best_before = members["accuracy"].cummax().shift(fill_value=-math.inf)
    return members[members["accuracy"] > best_before]


def thinned(trials: pd.DataFrame, most: int = SHOWN_BESIDE_THE_FRONTIER) -> pd.DataFrame:
    """The frontier and at most so many others, by number."""
    others = trials[~trials["on_frontier"]]
    if len(others) <= most:
        return trials
    # The same ones at each redraw, so that a live chart does not flicker.
    kept = others.sample(most, random_state=0)
    return pd.concat([trials[trials["on_frontier"]], kept]).sort_values("number")


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
        mode="markers",
        name="Chosen",
        marker={"color": CHOSEN, "symbol": "circle-open", "size": 20, "line": {"width": 3}},
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
        customdata=list(map(list, zip(rows["number"], rows["hover"], strict=True))),
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
        lines = [" · ".join(measured), " · ".join(filter(None, choices)), str(note)[:80]]
        yield "<br>".join(escape(line) for line in lines if line)


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
        hovertemplate=f"<b>Teacher</b> {escape(teacher.name)}<br>{teacher.accuracy:.1%} · "
        f"{axis.label(place)}<extra></extra>",
        unselected={"marker": {"opacity": 1.0}},
    )


def _draw_limit(figure: go.Figure, bound: float, label: str) -> None:
    # On a log axis plotly places shapes by value, but annotations by exponent.
    line = {"color": BUDGET, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", x0=bound, x1=bound, y0=0, y1=1, yref="paper", line=line)
    figure.add_shape(
        type="rect",
        x0=bound,
        x1=bound * 1e6,
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=BUDGET,
        opacity=0.06,
        line={"width": 0},
        layer="below",
    )
    figure.add_annotation(
        x=math.log10(bound),
        y=1,
        yref="paper",
        text=f"budget {label}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": BUDGET},
    )


def _lay_out(figure: go.Figure, axis: CostAxis, *, has_rug: bool) -> None:
    bottom = _RUG_SHARE + _SPACE_SHARE if has_rug else 0.0
    figure.update_layout(
        yaxis={"tickformat": ".0%", "domain": [bottom, 1.0], "automargin": True},
        xaxis={
            "type": "log",
            "title": {"text": axis.title},
            "tickformat": axis.tick_format,
            # More would run into each other on a phone.
            "nticks": 4,
            "minor": {"dtick": "D1", "ticks": "outside", "showgrid": False},
            "showgrid": True,
            "anchor": "y2" if has_rug else "y",
        },
    )
    if has_rug:
        figure.update_layout(
            yaxis2={
                "domain": [0.0, _RUG_SHARE],
                "range": [0, 1],
                "fixedrange": True,
                "showgrid": False,
                "tickvals": [0.5],
                "ticktext": ["none"],
                "zeroline": False,
            }
        )


def _set_range(
    figure: go.Figure,
    axis: CostAxis,
    trials: pd.DataFrame,
    *,
    limit: float | None,
    teacher: TeacherRecord | None,
) -> None:
    """Fits the cost axis to all that is drawn, the budget's line included."""
    places = [float(place) for place in trials[axis.column]]
    others = (limit, None if teacher is None else axis.of(teacher.cost))
    places += [place for place in others if place is not None]
    places = [place for place in places if place > 0]
    if not places:
        return
    low, high = math.log10(min(places)), math.log10(max(places))
    space = max(0.08, 0.05 * (high - low))
    figure.update_xaxes(range=[low - space, high + space])
