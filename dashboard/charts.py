"""Figures of a study's trials: accuracy against what a student costs. Pure."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

import pandas as pd
import plotly.graph_objects as go

from search.records import Cost, TeacherRecord, TrialState
from search.units import format_bytes, format_milliseconds

# Each is readable on the light theme's white and on the dark theme's near-black.
FRONTIER = "#10a37f"
_CLOUD = "#8796ab"
_BUDGET = "#d97706"
_TEACHER = "#8b5cf6"
_RIM = "rgba(255, 255, 255, 0.7)"

_SHOWN_BESIDE_THE_FRONTIER = 2000
_RUG_SHARE = 0.07
_SPACE_SHARE = 0.06


@dataclass(frozen=True, kw_only=True)
class CostAxis:
    """A cost to draw accuracy against.

    Attributes:
        column: its name in `Cost` and in the frame of trials.
        title: what stands under the axis, with the unit of its ticks.
        tick_format: how d3 writes them.
        label: how a value is written elsewhere.
    """

    column: str
    title: str
    tick_format: str
    label: Callable[[float], str]

    def of(self, cost: Cost) -> float | None:
        """Where `cost` lies on this axis; None where it was not measured."""
        value: float | None = getattr(cost, self.column)
        return value


SIZE = CostAxis(
    column="size_bytes", title="Size on disk, bytes", tick_format="~s", label=format_bytes
)
LATENCY = CostAxis(
    column="latency_ms",
    title="Latency of one image, ms",
    tick_format="~g",
    label=format_milliseconds,
)


@dataclass(frozen=True, kw_only=True)
class _Look:
    name: str
    symbol: str
    colour: str
    sign: str


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """What a mark in the figures means; `sign` is a character that looks like it."""

    name: str
    colour: str
    sign: str


_LOOKS = {
    TrialState.COMPLETE: _Look(name="Dominated", symbol="circle", colour=_CLOUD, sign="●"),
    TrialState.INFEASIBLE: _Look(
        name="Over budget", symbol="circle-open", colour=_BUDGET, sign="○"
    ),
    TrialState.STOPPED: _Look(name="Stopped", symbol="diamond-open", colour=_CLOUD, sign="◇"),
    TrialState.INTERRUPTED: _Look(
        name="Interrupted", symbol="square-open", colour=_CLOUD, sign="□"
    ),
    TrialState.FAILED: _Look(name="Failed", symbol="x-thin-open", colour="#e11d48", sign="×"),
    TrialState.RUNNING: _Look(name="Running", symbol="circle-open-dot", colour="#2f81f7", sign="◉"),
}


def accuracy_figure(
    trials: pd.DataFrame,
    axis: CostAxis,
    *,
    limit: float | None,
    teacher: TeacherRecord | None,
) -> go.Figure:
    """Accuracy against one cost, on a log axis.

    Args:
        trials: a frame as `dashboard.queries.trial_frame` gives it.
        axis: the cost.
        limit: the budget's bound on it, in the column's unit.
        teacher: drawn as a star.

    Returns:
        A figure whose points carry the trial's number as `customdata[0]`. Trials whose cost is
        known and whose accuracy is not stand as ticks under it. At most 2,000 trials are drawn
        beside the frontier.
    """
    known = trials[trials[axis.column].notna()]
    drawn = _thinned(known)
    trained = drawn[drawn["accuracy"].notna()]
    untrained = drawn[drawn["accuracy"].isna()]
    figure = go.Figure()
    figure.add_traces([*_cloud(trained, axis), *_rug(untrained, axis), *_frontier(trained, axis)])
    if teacher is not None:
        figure.add_traces(list(_star(teacher, axis)))
    _lay_out(figure, axis, has_rug=not untrained.empty)
    if limit is not None:
        _draw_budget(figure, limit, axis.label(limit))
    _set_range(figure, axis, known, limit=limit, teacher=teacher)
    return figure


def legend(trials: pd.DataFrame, *, has_teacher: bool) -> list[LegendEntry]:
    """The marks that the figures of these trials hold; one legend serves all of them."""
    entries = []
    if trials["on_frontier"].any():
        entries.append(LegendEntry(name="Frontier", colour=FRONTIER, sign="●"))
    shown = trials[trials["size_bytes"].notna() & ~trials["on_frontier"]]
    is_ruled_out = (shown["state"] == TrialState.INFEASIBLE.value) & shown["accuracy"].isna()
    marked = set(shown.loc[~is_ruled_out, "state"])
    entries += [
        LegendEntry(name=look.name, colour=look.colour, sign=look.sign)
        for state, look in _LOOKS.items()
        if state.value in marked
    ]
    if is_ruled_out.any():
        entries.append(LegendEntry(name="Over budget, never trained", colour=_BUDGET, sign="|"))
    if has_teacher:
        entries.append(LegendEntry(name="Teacher", colour=_TEACHER, sign="★"))
    return entries


def frontier_line(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frontier's trials that no other one betters in accuracy and this cost alone, by cost.

    The frontier is of accuracy, size and latency together, so some of its trials lie below this
    line: they are better in the cost that is not drawn.
    """
    members = trials[trials["on_frontier"] & trials[column].notna()]
    members = members.sort_values([column, "accuracy"], ascending=[True, False])
    best_before = members["accuracy"].cummax().shift(fill_value=-math.inf)
    return members[members["accuracy"] > best_before]


def _thinned(trials: pd.DataFrame) -> pd.DataFrame:
    others = trials[~trials["on_frontier"]]
    if len(others) <= _SHOWN_BESIDE_THE_FRONTIER:
        return trials
    # The same ones at each redraw, so that a live chart does not flicker.
    kept = others.sample(_SHOWN_BESIDE_THE_FRONTIER, random_state=0)
    return pd.concat([trials[trials["on_frontier"]], kept]).sort_values("number")


def _cloud(trials: pd.DataFrame, axis: CostAxis) -> Iterator[go.Scatter]:
    for state, look in _LOOKS.items():
        rows = trials[(trials["state"] == state.value) & ~trials["on_frontier"]]
        if rows.empty:
            continue
        marker = {"color": look.colour, "symbol": look.symbol, "size": 8, "opacity": 0.75}
        yield _points(rows, axis, rows["accuracy"], name=look.name, marker=marker)


def _rug(trials: pd.DataFrame, axis: CostAxis) -> Iterator[go.Scatter]:
    for state, look in _LOOKS.items():
        rows = trials[trials["state"] == state.value]
        if rows.empty:
            continue
        symbol = "x-thin-open" if state is TrialState.FAILED else "line-ns-open"
        line = {"width": 1.5, "color": look.colour}
        marker = {"color": look.colour, "symbol": symbol, "size": 10, "line": line}
        yield _points(
            rows,
            axis,
            pd.Series(0.5, index=rows.index),
            name=look.name,
            marker=marker,
        ).update(yaxis="y2")


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
    marker = {"color": FRONTIER, "size": 11, "line": {"width": 1.5, "color": _RIM}}
    yield _points(members, axis, members["accuracy"], name="Frontier", marker=marker)


def _points(
    rows: pd.DataFrame,
    axis: CostAxis,
    heights: "pd.Series[float]",
    *,
    name: str,
    marker: dict[str, object],
) -> go.Scatter:
    # SVG and not WebGL: so few points need none, and a machine without it would show nothing.
    return go.Scatter(
        x=rows[axis.column],
        y=heights,
        mode="markers",
        name=name,
        marker=marker,
        customdata=list(map(list, zip(rows["number"], _hover(rows), strict=True))),
        hovertemplate="<b>Trial %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        unselected={"marker": {"opacity": 0.4}},
        selected={"marker": {"opacity": 1.0}},
    )


def _hover(rows: pd.DataFrame) -> Iterator[str]:
    for row in rows.to_dict("records"):
        measured = [
            "no accuracy" if math.isnan(row["accuracy"]) else f"{row['accuracy']:.1%}",
            format_bytes(row["size_bytes"]),
            "not timed"
            if math.isnan(row["latency_ms"])
            else format_milliseconds(row["latency_ms"]),
        ]
        choices = [str(row[name]) for name in ("student", "pruning", "quantization")]
        lines = [" · ".join(measured), " · ".join(filter(None, choices)), str(row["note"])[:80]]
        yield "<br>".join(escape(line) for line in lines if line)


def _star(teacher: TeacherRecord, axis: CostAxis) -> Iterator[go.Scatter]:
    place = axis.of(teacher.cost)
    if place is None:
        return
    yield go.Scatter(
        x=[place],
        y=[teacher.accuracy],
        mode="markers",
        name="Teacher",
        marker={
            "color": _TEACHER,
            "symbol": "star",
            "size": 16,
            "line": {"width": 1, "color": _RIM},
        },
        hovertemplate=f"<b>Teacher</b> {escape(teacher.name)}<br>{teacher.accuracy:.1%} · "
        f"{axis.label(place)}<extra></extra>",
        unselected={"marker": {"opacity": 1.0}},
    )


def _draw_budget(figure: go.Figure, bound: float, label: str) -> None:
    # On a log axis plotly places shapes by value, but annotations by exponent.
    line = {"color": _BUDGET, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", x0=bound, x1=bound, y0=0, y1=1, yref="paper", line=line)
    figure.add_annotation(
        x=math.log10(bound),
        y=1,
        yref="paper",
        text=f"budget {label}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": _BUDGET},
    )


def _lay_out(figure: go.Figure, axis: CostAxis, *, has_rug: bool) -> None:
    bottom = _RUG_SHARE + _SPACE_SHARE if has_rug else 0.0
    figure.update_layout(
        height=430,
        margin={"l": 10, "r": 16, "t": 28, "b": 10},
        showlegend=False,
        hovermode="closest",
        yaxis={"tickformat": ".0%", "domain": [bottom, 1.0]},
    )
    figure.update_xaxes(
        type="log",
        title={"text": axis.title},
        tickformat=axis.tick_format,
        # More would run into each other on a phone.
        nticks=4,
        minor={"dtick": "D1", "ticks": "outside", "showgrid": False},
        showgrid=True,
        anchor="y2" if has_rug else "y",
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
