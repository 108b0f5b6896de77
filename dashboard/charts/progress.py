"""Progress of a search: its best student, its hypervolume, and the training that it saved."""

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure
from dashboard.charts.measures import Measure
from dashboard.charts.palette import BUDGET, CLOUD, FRONTIER, SERIES
from search.analysis.history import HistoryPoint
from search.analysis.savings import Savings

_PARTS = (
    ("trained", "Trained", FRONTIER),
    ("rejected", "Rejected before training", BUDGET),
    ("stopped", "Stopped", CLOUD),
    ("shared", "Shared with another trial", SERIES[0]),
)


def progress_figure(
    moments: Sequence[HistoryPoint], over: Literal["ended", "hours"], score: Measure
) -> go.Figure:
    """Return a figure of the best metric in the budget and the hypervolume, by trial or hour."""
    places = [getattr(moment, over) for moment in moments]
    figure = new_figure(height=380)
    of_score = ".2%" if score.is_share else ".4g"
    for name, title, axis, form, colour in (
        ("best", f"Best {score.name} in the budget", "y", of_score, FRONTIER),
        ("hypervolume", "Hypervolume", "y2", ".2%", SERIES[0]),
    ):
        figure.add_trace(
            go.Scatter(
                x=places,
                y=[getattr(moment, name) for moment in moments],
                mode="lines",
                line={"shape": "hv", "width": 2, "color": colour},
                yaxis=axis,
                hovertemplate=f"{title} %{{y:{form}}}<extra></extra>",
            )
        )
    figure.update_layout(
        hovermode="x",
        xaxis={
            "title": {"text": "Trials that ended" if over == "ended" else "Hours since the start"},
            "anchor": "y2",
        },
        yaxis={
            "title": {"text": f"Best {score.name}"},
            "tickformat": ".1%" if score.is_share else score.tick_format,
            "domain": [0.53, 1.0],
            "automargin": True,
        },
        yaxis2={
            "title": {"text": "Hypervolume"},
            "tickformat": ".0%",
            "domain": [0.0, 0.44],
            "automargin": True,
        },
    )
    return figure


def savings_figure(found: Savings) -> go.Figure:
    """Return one bar of all requested epochs: trained, rejected, stopped and shared ones."""
    figure = new_figure(height=170, showlegend=True, barmode="stack")
    for name, title, colour in _PARTS:
        epochs = getattr(found, name)
        if not epochs:
            continue
        figure.add_trace(
            go.Bar(
                name=title,
                orientation="h",
                y=["epochs"],
                x=[epochs],
                text=[f"{epochs:,}"],
                textposition="inside",
                insidetextanchor="middle",
                marker={"color": colour},
                hovertemplate=f"{title}: %{{x:,}} epochs<extra></extra>",
            )
        )
    figure.update_layout(
        xaxis={
            "title": {"text": "Training epochs that the recipes asked for", "standoff": 8},
            "automargin": True,
        },
        yaxis={"visible": False},
        legend={"orientation": "h", "y": 1.05, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        margin={"l": 10, "r": 16, "t": 44, "b": 10},
    )
    return figure
