"""Scatter plot of the metric against a cost: all trials, the frontier and the teacher."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.drawn import frontier_line, thinned, within
from dashboard.charts.figure import as_text, new_figure
from dashboard.charts.ground import cost_range, draw_limits, lay_out, value_reach
from dashboard.charts.measures import Measure
from dashboard.charts.palette import CHOSEN, FINALIST, FRONTIER, LOOKS, RIM, TEACHER
from dashboard.frames import REACH, recipe_columns
from search.records import TeacherRecord, TrialKind, TrialState

_BEYOND_LIMITS = 0.4


def cloud_points(
    trials: pd.DataFrame, axis: Measure, objectives: Mapping[str, Measure]
) -> pd.DataFrame:
    """Return the rows of a `trial_frame` to draw against this cost, with their `hover` text.

    The frontier and at most 2,000 other trials are kept. Refits have no value on the validation
    images, so they are not drawn.
    """
    is_refit = trials["kind"] == TrialKind.REFIT.value
    drawn = thinned(trials[trials[axis.column].notna() & ~is_refit])
    return drawn.assign(hover=list(_hover(drawn, objectives)))


def cloud_figure(
    points: pd.DataFrame,
    axis: Measure,
    score: Measure,
    *,
    limits: Mapping[str, float],
    teacher: TeacherRecord | None,
    chosen: int | None = None,
) -> go.Figure:
    """Return a figure of the metric against one cost, on a log axis.

    Args:
        points: the frame from `cloud_points`; it does not depend on the limits.
        axis: the cost.
        score: the metric.
        limits: bounds by column; trials that break one of them are drawn faded.
        teacher: the teacher, drawn as a star.
        chosen: the trial that gets a ring.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. The students on the
        frontier and the chosen one have bars, the 95% intervals of the metric. Trials with a known
        cost and an unknown metric are ticks below the plot. Finalists are diamonds. If a few values
        are far worse than the rest, the axis leaves them out, and a note gives their number.
    """
    drawn = points.assign(is_within=within(points, limits))
    trained = drawn[drawn[score.column].notna()]
    untrained = drawn[drawn[score.column].isna()]
    figure = new_figure(uirevision=axis.column)
    ring = trained[trained["number"] == chosen]
    figure.add_traces(
        [
            *_cloud(trained, axis, score),
            *_rug(untrained, axis),
            *_frontier(trained, axis, score),
            *([] if ring.empty else [_ring(ring, axis, score)]),
        ]
    )
    if teacher is not None:
        figure.add_traces(list(_star(teacher, axis, score)))
    own = None if teacher is None else score.of_quality(teacher.quality)
    others = [*ring[score.column], own, limits.get(score.column)]
    seen = [float(value) for value in others if value is not None]
    reach = value_reach(trained[score.column], seen, score)
    lay_out(figure, axis, score, reach, has_rug=not untrained.empty)
    span = cost_range(points, axis, limit=limits.get(axis.column), teacher=teacher)
    if span is not None:
        figure.update_xaxes(range=span)
        draw_limits(figure, axis, score, limits, span=span)
    return figure


def _cloud(trials: pd.DataFrame, axis: Measure, score: Measure) -> Iterator[go.Scatter]:
    for state, look in LOOKS.items():
        rows = trials[(trials["state"] == state.value) & ~trials["on_frontier"]]
        if rows.empty:
            continue
        symbols = _symbols(rows, look.symbol) if state is TrialState.COMPLETE else look.symbol
        marker: dict[str, object] = {"color": look.colour, "symbol": symbols, "size": 8}
        heights = rows[score.column]
        yield _points(rows, axis, heights, name=look.name, marker=marker, opacity=0.75)


def _rug(trials: pd.DataFrame, axis: Measure) -> Iterator[go.Scatter]:
    for state, look in LOOKS.items():
        rows = trials[trials["state"] == state.value]
        if rows.empty:
            continue
        symbol = "x-thin-open" if state is TrialState.FAILED else "line-ns-open"
        line = {"width": 1.5, "color": look.colour}
        marker = {"color": look.colour, "symbol": symbol, "size": 10, "line": line}
        heights = pd.Series(0.5, index=rows.index)
        yield _points(rows, axis, heights, name=look.name, marker=marker).update(yaxis="y2")


def _frontier(trials: pd.DataFrame, axis: Measure, score: Measure) -> Iterator[go.Scatter]:
    members = trials[trials["on_frontier"]]
    if members.empty:
        return
    line = frontier_line(trials, axis.column, score)
    yield go.Scatter(
        x=line[axis.column],
        y=line[score.column],
        mode="lines",
        line={"color": FRONTIER, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )
    rim = {"width": 1.5, "color": RIM}
    marker = {"color": FRONTIER, "symbol": _symbols(members, "circle"), "size": 11, "line": rim}
    yield _points(members, axis, members[score.column], name="Frontier", marker=marker).update(
        error_y=_bars(members, FRONTIER)
    )


def _symbols(rows: pd.DataFrame, symbol: str) -> list[str]:
    """Return the symbol of each row: a diamond for a finalist, else `symbol`."""
    return [FINALIST if kind == TrialKind.FINAL.value else symbol for kind in rows["kind"]]


def _bars(rows: pd.DataFrame, colour: str) -> dict[str, object]:
    return {"array": rows[REACH], "color": colour, "thickness": 1, "width": 3}


def _ring(chosen: pd.DataFrame, axis: Measure, score: Measure) -> go.Scatter:
    return go.Scatter(
        x=chosen[axis.column],
        y=chosen[score.column],
        mode="markers+text",
        name="Chosen",
        marker={"color": CHOSEN, "symbol": "circle-open", "size": 20, "line": {"width": 3}},
        error_y=_bars(chosen, CHOSEN),
        text=[f"trial {number}" for number in chosen["number"]],
        textposition="top center",
        textfont={"color": CHOSEN},
        hoverinfo="skip",
    )


def _points(
    rows: pd.DataFrame,
    axis: Measure,
    heights: "pd.Series[float]",
    *,
    name: str,
    marker: dict[str, object],
    opacity: float = 1.0,
) -> go.Scatter:
    # SVG, not WebGL: there are few points, and a machine without WebGL would show nothing.
    fading = rows["is_within"].map({True: opacity, False: opacity * _BEYOND_LIMITS})
    return go.Scatter(
        x=rows[axis.column],
        y=heights,
        mode="markers",
        name=name,
        marker={**marker, "opacity": fading},
        # An array, because plotly processes a list value by value.
        customdata=rows[["number", "hover"]].to_numpy(dtype=object),
        hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        unselected={"marker": {"opacity": 0.25}},
        selected={"marker": {"opacity": 1.0}},
    )


def _hover(rows: pd.DataFrame, objectives: Mapping[str, Measure]) -> Iterator[str]:
    names = (*objectives, *recipe_columns(rows), REACH, "kind", "note")
    for *cells, reach, kind, note in zip(*(rows[name] for name in names), strict=True):
        values, choices = cells[: len(objectives)], cells[len(objectives) :]
        measured = [
            f"{measure.title.lower()} not known" if math.isnan(value) else measure.label(value)
            for measure, value in zip(objectives.values(), values, strict=True)
        ]
        if not math.isnan(reach):
            measured[0] += f" ± {next(iter(objectives.values())).label(reach)}"
        chosen = list(filter(None, choices))
        # Short lines, because a narrow chart cuts long ones off.
        recipe = [" · ".join(chosen[place : place + 3]) for place in range(0, len(chosen), 3)]
        finalist = "finalist" if kind == TrialKind.FINAL.value else ""
        lines = [" · ".join(measured), finalist, *recipe, str(note)[:60]]
        yield "<br>".join(as_text(line) for line in lines if line)


def _star(teacher: TeacherRecord, axis: Measure, score: Measure) -> Iterator[go.Scatter]:
    place, value = axis.of_cost(teacher.cost), score.of_quality(teacher.quality)
    if place is None or value is None:
        return
    line = {"width": 1, "color": RIM}
    yield go.Scatter(
        x=[place],
        y=[value],
        mode="markers",
        name="Teacher",
        marker={"color": TEACHER, "symbol": "star", "size": 16, "line": line},
        hovertemplate=f"<b>Teacher</b> {as_text(teacher.name)}<br>{score.label(value)} · "
        f"{axis.label(place)}<extra></extra>",
        unselected={"marker": {"opacity": 1.0}},
    )
