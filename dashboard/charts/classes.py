"""Accuracy by class, of the student and of the teacher."""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.figure import as_text, new_figure
from dashboard.charts.palette import CLOUD, FRONTIER, TEACHER

_MOST_CLASSES = 40
_LONGEST_NAME = 30

ByClass = Sequence[tuple[int, int]]


def classes_figure(names: Sequence[str], student: ByClass, teacher: ByClass | None) -> go.Figure:
    """Return a figure with two dots per class and a line between them, the worst class on top.

    Args:
        names: the classes' names.
        student: for each class, the number of images and of correct predictions.
        teacher: the same for the teacher; None if unknown.

    Returns:
        A figure of the student's 40 worst classes among those that have images.
    """
    seen = [place for place in range(len(names)) if student[place][0]]
    worst = sorted(seen, key=lambda place: _share(student[place]))[:_MOST_CLASSES]
    labels = [as_text(names[place][:_LONGEST_NAME]) for place in worst]
    figure = new_figure(height=80 + 26 * len(worst), showlegend=True)
    if teacher is not None:
        figure.add_trace(_gaps([(_share(student[p]), _share(teacher[p])) for p in worst]))
        figure.add_trace(_dots("Teacher", labels, [teacher[place] for place in worst], TEACHER))
    figure.add_trace(_dots("Student", labels, [student[place] for place in worst], FRONTIER))
    figure.update_layout(
        xaxis={"tickformat": ".3~p", "autorangeoptions": {"clipmin": -0.02, "clipmax": 1.02}},
        # Rows have numbers: shortened names may be equal. plotly draws the first row lowest.
        yaxis={
            "autorange": "reversed",
            "tickvals": list(range(len(worst))),
            "ticktext": labels,
            "automargin": True,
            "zeroline": False,
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def _share(found: tuple[int, int]) -> float:
    of, right = found
    return right / of if of else 0.0


def _gaps(pairs: Sequence[tuple[float, float]]) -> go.Scatter:
    return go.Scatter(
        x=[x for student, teacher in pairs for x in (student, teacher, None)],
        y=[y for row in range(len(pairs)) for y in (row, row, None)],
        mode="lines",
        line={"color": CLOUD, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )


def _dots(name: str, labels: Sequence[str], found: ByClass, colour: str) -> go.Scatter:
    # The student's dot lies inside the teacher's, so that both are visible where they are equal.
    size = 10 if name == "Student" else 15
    return go.Scatter(
        name=name,
        x=[_share(counts) for counts in found],
        y=list(range(len(labels))),
        text=list(labels),
        mode="markers",
        marker={"color": colour, "size": size},
        customdata=[list(counts) for counts in found],
        hovertemplate=f"<b>%{{text}}</b><br>{name.lower()}: %{{customdata[1]}} of "
        "%{customdata[0]} correct (%{x:.1%})<extra></extra>",
    )
