"""Heat map of how often networks agree."""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.figure import as_text, new_figure


def agreement_figure(names: Sequence[str], shares: Sequence[Sequence[float]]) -> go.Figure:
    """Return a heat map of shares, [names, names], each 0 to 1, with the share in each cell.

    The diagonal, where each network agrees with itself, is left blank.
    """
    others = [
        [None if one == other else share for other, share in enumerate(row)]
        for one, row in enumerate(shares)
    ]
    known = [share for row in others for share in row if share is not None]
    figure = new_figure(height=120 + 44 * len(names))
    figure.add_trace(
        go.Heatmap(
            x=[as_text(name) for name in names],
            y=[as_text(name) for name in names],
            z=others,
            text=[["" if share is None else f"{share:.1%}" for share in row] for row in others],
            texttemplate="%{text}",
            # The colours start at one half, so that small differences have similar colours.
            zmin=min([0.5, *known]),
            zmax=1.0,
            colorscale=[[0, "#b45309"], [0.5, "#475569"], [1, "#0f766e"]],
            textfont={"color": "#ffffff"},
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
