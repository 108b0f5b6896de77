"""Which classes are taken for which: the confusion matrix, and the most confused pairs."""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.classes import rows_axis, short_class
from dashboard.charts.figure import new_figure
from dashboard.charts.palette import LOSS, TEACHER
from search.analysis.classes import ConfusionCell, ResultsByClass

MOST_FIELDS = 50
"""The largest number of classes whose confusion matrix is readable."""

_MOST_PAIRS = 25
_WITH_COUNTS = 12  # classes: the largest matrix whose fields have room for a number
_LONGEST_IN_PAIR = 20  # characters
_MOST_UPRIGHT = 6  # classes: the most whose names stand side by side
_GREEN, _RED = "16, 163, 127", "225, 29, 72"


def confusion_figure(results: ResultsByClass) -> go.Figure | None:
    """Return the confusion matrix as a heat map; None if it has too many classes to be readable.

    A row is a true class, a column a predicted class. The colour of a field is its share of the
    row: green on the diagonal, which is right, red elsewhere. An empty field was never predicted.
    """
    count = len(results.classes)
    if count > MOST_FIELDS:
        return None
    labels = [short_class(each.name) for each in results.classes]
    size = max(14, min(44, 720 // max(1, count)))
    figure = new_figure(height=150 + size * count)
    for is_wrong, colour in ((False, _GREEN), (True, _RED)):
        cells = [cell for cell in results.cells if cell.is_wrong is is_wrong]
        figure.add_trace(_fields(results, cells, labels, colour))
    ticks = {"size": max(9, min(12, size - 3))}
    figure.update_layout(
        yaxis=rows_axis(labels)
        | {"tickfont": ticks, "title": _title("true class"), "showgrid": False},
        xaxis={
            **rows_axis(labels),
            "autorange": True,
            "side": "top",
            "tickangle": 0 if count <= _MOST_UPRIGHT else -90,
            "tickfont": ticks,
            "title": _title("predicted class"),
            "showgrid": False,
        },
    )
    return figure


def _title(text: str) -> dict[str, object]:
    return {"text": text, "standoff": 12}


def _fields(
    results: ResultsByClass, cells: Sequence[ConfusionCell], labels: Sequence[str], colour: str
) -> go.Heatmap:
    count = len(labels)
    shares: list[list[float | None]] = [[None] * count for _ in range(count)]
    texts = [[""] * count for _ in range(count)]
    notes = [[""] * count for _ in range(count)]
    for cell in cells:
        shares[cell.true][cell.predicted] = cell.share
        if count <= _WITH_COUNTS:
            texts[cell.true][cell.predicted] = str(cell.images)
        notes[cell.true][cell.predicted] = (
            f"{labels[cell.true]} → {labels[cell.predicted]}<br>"
            f"{cell.images} of {results.classes[cell.true].images} ({cell.share:.1%})"
        )
    return go.Heatmap(
        z=shares,
        text=texts,
        texttemplate="%{text}",
        customdata=notes,
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
        zmin=0,
        zmax=1,
        # Transparent, so that the colours suit a light and a dark page.
        colorscale=[[0, f"rgba({colour}, 0.12)"], [1, f"rgba({colour}, 1)"]],
        showscale=False,
        xgap=1,
        ygap=1,
    )


def pairs_figure(student: ResultsByClass, teacher: ResultsByClass | None) -> go.Figure | None:
    """Return the student's most confused pairs as bars, with a dot for the teacher's images.

    Args:
        student: the student's results.
        teacher: the teacher's results on the same images; None if unknown.

    Returns:
        A figure of at most 25 pairs; None if no image is predicted wrongly.
    """
    pairs = student.pairs[:_MOST_PAIRS]
    if not pairs:
        return None
    labels = [_pair_label(pair, student) for pair in pairs]
    figure = new_figure(height=80 + 26 * len(pairs), showlegend=True)
    figure.add_trace(_bars(pairs, labels, student))
    if teacher is not None:
        known = {(cell.true, cell.predicted): cell.images for cell in teacher.pairs}
        figure.add_trace(_teachers_dots(pairs, labels, known))
    figure.update_layout(
        yaxis=rows_axis(labels),
        xaxis={"title": "images", "rangemode": "tozero"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def _pair_label(pair: ConfusionCell, results: ResultsByClass) -> str:
    true, predicted = (
        short_class(results.classes[label].name, _LONGEST_IN_PAIR)
        for label in (pair.true, pair.predicted)
    )
    return f"{true} → {predicted} ({pair.share:.0%})"


def _bars(pairs: Sequence[ConfusionCell], labels: Sequence[str], results: ResultsByClass) -> go.Bar:
    return go.Bar(
        name="Student",
        orientation="h",
        x=[pair.images for pair in pairs],
        y=list(range(len(pairs))),
        marker={"color": LOSS},
        customdata=[
            [label, results.classes[pair.true].images]
            for label, pair in zip(labels, pairs, strict=True)
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>student: %{x} of %{customdata[1]}<extra></extra>",
    )


def _teachers_dots(
    pairs: Sequence[ConfusionCell], labels: Sequence[str], known: dict[tuple[int, int], int]
) -> go.Scatter:
    return go.Scatter(
        name="Teacher",
        x=[known.get((pair.true, pair.predicted), 0) for pair in pairs],
        y=list(range(len(pairs))),
        text=list(labels),
        mode="markers",
        marker={"color": TEACHER, "size": 10},
        hovertemplate="<b>%{text}</b><br>teacher: %{x}<extra></extra>",
    )
