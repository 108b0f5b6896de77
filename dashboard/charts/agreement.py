"""How far networks agree: a square of shares."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure


def agreement_figure(names: Sequence[str], shares: Sequence[Sequence[float]]) -> go.Figure:
    """A heat map of shares, [names, names], each 0 to 1, with the share in each field."""
    figure = new_figure(height=120 + 44 * len(names))
    figure.add_trace(
        go.Heatmap(
            x=[escape(name) for name in names],
            y=[escape(name) for name in names],
            z=shares,
            text=[[f"{share:.1%}" for share in row] for row in shares],
            texttemplate="%{text}",
            colorscale=[[0, "#dbeafe"], [1, "#10a37f"]],
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="%{y} and %{x}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
        xaxis={"type": "category", "side": "top"},
    )
    return figure
