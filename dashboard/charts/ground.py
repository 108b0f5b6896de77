"""Background of the metric's plots: axes, their ranges and the budget's lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.figure import GROUND
from dashboard.charts.measures import Measure
from dashboard.charts.palette import BUDGET
from search.records import TeacherRecord

_RUG_SHARE = 0.07
_SPACE_SHARE = 0.06
# If most students are equally good, a point slightly below them is no outlier.
_LEAST_SPREAD = 0.01
_LINE = {"color": BUDGET, "width": 1.5, "dash": "dash"}


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The range of the metric's axis, and the number of far worse trials that it leaves out."""

    low: float
    high: float
    beyond: int


def value_reach(values: "pd.Series[float]", others: Sequence[float], score: Measure) -> Reach:
    """Return the axis range of all values except those far worse than the rest.

    With them, the other values would look like a line.

    Args:
        values: the trials' values.
        others: values that must be visible, such as the teacher's.
        score: the measure of these values.

    Source: Tukey's fence of one and a half interquartile ranges, Exploratory Data Analysis, 1977.
    """
    if values.empty and not others:
        return Reach(low=0.0, high=1.0, beyond=0)
    if not score.is_maximized:
        turned = _reach_of(-values, [-value for value in others])
        return Reach(low=-turned.high, high=-turned.low, beyond=turned.beyond)
    reach = _reach_of(values, others)
    if not score.is_share:
        return reach
    return Reach(low=max(0.0, reach.low), high=min(reach.high, 1.01), beyond=reach.beyond)


def _reach_of(values: "pd.Series[float]", others: Sequence[float]) -> Reach:
    """Return the range for a measure whose larger values are better."""
    fence = -math.inf
    if len(values):
        low, high = (float(values.quantile(share)) for share in (0.25, 0.75))
        fence = low - 1.5 * max(high - low, _LEAST_SPREAD)
    seen = [*values[values >= fence], *others]
    space = max(0.01, 0.07 * (max(seen) - min(seen)))
    bottom = min(seen) - space
    beyond = int((values < bottom).sum())
    return Reach(low=bottom - space * bool(beyond), high=max(seen) + space, beyond=beyond)


def lay_out(
    figure: go.Figure, axis: Measure, score: Measure, reach: Reach, *, has_rug: bool
) -> None:
    """Set up the axes. Trials with an unknown metric have a separate band at the bottom."""
    bottom = _RUG_SHARE + _SPACE_SHARE if has_rug else 0.0
    is_near = score.is_share and reach.high - reach.low < 0.06
    figure.update_layout(
        yaxis={
            "tickformat": ".1%" if is_near else score.tick_format,
            "domain": [bottom, 1.0],
            "range": [reach.low, reach.high],
            "automargin": True,
            "zeroline": False,
        },
        xaxis={
            "type": "log",
            "title": {"text": axis.axis_title},
            "tickformat": axis.tick_format,
            # More labels would overlap on a phone.
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
    if reach.beyond:
        _note_hidden_trials(figure, reach.beyond, bottom, score)


def cost_range(
    trials: pd.DataFrame, axis: Measure, *, limit: float | None, teacher: TeacherRecord | None
) -> tuple[float, float] | None:
    """Return the decimal exponents that enclose all costs and the budget; None without costs."""
    places = [float(place) for place in trials[axis.column]]
    others = (limit, None if teacher is None else axis.of_cost(teacher.cost))
    places = [place for place in [*places, *others] if place is not None and place > 0]
    if not places:
        return None
    low, high = math.log10(min(places)), math.log10(max(places))
    space = max(0.08, 0.05 * (high - low))
    return low - space, high + space


def draw_limits(
    figure: go.Figure,
    axis: Measure,
    score: Measure,
    limits: Mapping[str, float],
    *,
    span: tuple[float, float],
) -> None:
    """Draw the budget's bound on the cost, shade what exceeds it, and draw the metric's bound."""
    if (floor := limits.get(score.column)) is not None:
        figure.add_shape(type="line", x0=0, x1=1, xref="paper", y0=floor, y1=floor, line=_LINE)
    if (bound := limits.get(axis.column)) is None:
        return
    figure.add_shape(type="line", x0=bound, x1=bound, y0=0, y1=1, yref="paper", line=_LINE)
    figure.add_shape(
        type="rect",
        x0=bound,
        # The shape ends at the edge, because plotly would extend the axes to a larger one.
        x1=10 ** span[1],
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=BUDGET,
        opacity=0.06,
        line={"width": 0},
        layer="below",
    )
    # On a log axis plotly places shapes by value, but annotations by exponent.
    place = math.log10(bound)
    is_left = place < span[0] + 0.35 * (span[1] - span[0])
    figure.add_annotation(
        x=place,
        y=1,
        yref="paper",
        text=f"budget {axis.label(bound)}",
        showarrow=False,
        xanchor="left" if is_left else "right",
        yanchor="bottom",
        font={"color": BUDGET},
    )


def _note_hidden_trials(figure: go.Figure, count: int, bottom: float, score: Measure) -> None:
    what = "1 trial lies" if count == 1 else f"{count} trials lie"
    arrow, where = ("↓", "below") if score.is_maximized else ("↑", "above")
    figure.add_annotation(
        x=0,
        xref="paper",
        y=bottom if score.is_maximized else 1,
        yref="paper",
        text=f"{arrow} {what} {where}: double-click to show",
        showarrow=False,
        xanchor="left",
        yanchor="bottom" if score.is_maximized else "top",
        font={"size": 11},
        name=GROUND,
        opacity=0.85,
    )
