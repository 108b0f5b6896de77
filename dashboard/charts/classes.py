"""Accuracy by class: the student's beside the teacher's."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure
from dashboard.charts.palette import FRONTIER, TEACHER

_MOST_CLASSES = 40

ByClass = Sequence[tuple[int, int]]


def classes_figure(names: Sequence[str], student: ByClass, teacher: ByClass | None) -> go.Figure:
    """Two bars a class, the class on which the student is worst above.

    Args:
        names: of the classes.
        student: images of each class, and how many of them are predicted right.
        teacher: likewise; None where it is not known.

    Returns:
        A figure of the 40 worst classes.
    """
    shares = [right / of if of else 0.0 for of, right in student]
    worst = sorted(range(len(names)), key=lambda place: shares[place])[:_MOST_CLASSES]
    figure = new_figure(height=80 + 30 * len(worst), showlegend=True, barmode="group")
    known = (("Student", student, FRONTIER), ("Teacher", teacher, TEACHER))
    for label, found, colour in known:
        if found is None:
            continue
        figure.add_trace(
            go.Bar(
                name=label,
                orientation="h",
                y=[escape(names[place][:30]) for place in worst],
                x=[found[place][1] / found[place][0] if found[place][0] else 0 for place in worst],
                customdata=[list(found[place]) for place in worst],
                marker={"color": colour},
                hovertemplate=f"<b>%{{y}}</b><br>{label.lower()}: %{{customdata[1]}} of "
                "%{customdata[0]} right (%{x:.1%})<extra></extra>",
            )
        )
    figure.update_layout(
        xaxis={"tickformat": ".0%", "range": [0, 1.001]},
        # The first is drawn lowest, and a class may be named as a number.
        yaxis={"autorange": "reversed", "type": "category", "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure
