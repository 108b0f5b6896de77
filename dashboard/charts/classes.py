"""Recall by class, of the student and of the teacher."""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.figure import as_text, new_figure
from dashboard.charts.palette import CLOUD, FRONTIER, TEACHER
from search.analysis.classes import ClassResult, ResultsByClass

MOST_CLASSES = 40
"""The largest number of rows in a figure of classes or pairs."""

_LONGEST_NAME = 30


def short_class(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a class's name as HTML, shortened to so many characters."""
    return as_text(name if len(name) <= longest else f"{name[: longest - 1]}…")


def classes_figure(student: ResultsByClass, teacher: ResultsByClass | None) -> go.Figure:
    """Return a figure with two dots per class and a line between them, the worst class on top.

    Args:
        student: the student's results.
        teacher: the teacher's results on the same images; None if unknown.

    Returns:
        A figure of the student's 40 worst classes among those that have images.
    """
    worst = student.worst_first[:MOST_CLASSES]
    labels = [short_class(each.name) for each in worst]
    figure = new_figure(height=80 + 26 * len(worst), showlegend=True)
    if teacher is not None:
        theirs = [teacher.classes[each.label] for each in worst]
        figure.add_trace(_gaps(worst, theirs))
        figure.add_trace(_dots("Teacher", labels, theirs, TEACHER))
    figure.add_trace(_dots("Student", labels, worst, FRONTIER))
    figure.update_layout(
        xaxis={"tickformat": ".3~p", "autorangeoptions": {"clipmin": -0.02, "clipmax": 1.02}},
        yaxis=rows_axis(labels),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def rows_axis(labels: Sequence[str]) -> dict[str, object]:
    """Return an axis of numbered rows from top to bottom: shortened names may be equal."""
    return {
        "autorange": "reversed",
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "automargin": True,
        "zeroline": False,
    }


def _gaps(student: Sequence[ClassResult], teacher: Sequence[ClassResult]) -> go.Scatter:
    pairs = zip(student, teacher, strict=True)
    return go.Scatter(
        x=[x for own, theirs in pairs for x in (own.recall, theirs.recall, None)],
        y=[y for row in range(len(student)) for y in (row, row, None)],
        mode="lines",
        line={"color": CLOUD, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )


def _dots(
    name: str, labels: Sequence[str], found: Sequence[ClassResult], colour: str
) -> go.Scatter:
    # The student's dot lies inside the teacher's, so that both are visible where they are equal.
    size = 10 if name == "Student" else 15
    return go.Scatter(
        name=name,
        x=[each.recall for each in found],
        y=list(range(len(labels))),
        text=list(labels),
        mode="markers",
        marker={"color": colour, "size": size},
        customdata=[[each.images, each.right] for each in found],
        hovertemplate=f"<b>%{{text}}</b><br>{name.lower()}: %{{customdata[1]}} of "
        "%{customdata[0]} correct (%{x:.1%})<extra></extra>",
    )
