"""Waterfall chart of the effect of each stage, from the float32 student to the shipped one."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure
from dashboard.charts.measures import Measure
from dashboard.charts.palette import FRONTIER, LOSS
from search.objectives.limits import SIZE
from search.records import Outcome

_SHIPPED = "shipped"
_TOTAL = "#2f81f7"
_ROW = 170


def stage_values(outcome: Outcome, measure: Measure) -> list[tuple[str, float]]:
    """Return the measure after each stage that measured it, and finally of the shipped file.

    A stage records only the study's own metric. The last stage that measured a file gets the
    shipped file's value, because it is the same file.
    """
    found = {
        stage.name: float(value)
        for stage in outcome.stages
        if (value := measure.of_cost(stage.cost) if measure.is_cost else stage.score) is not None
    }
    with_file = [stage.name for stage in outcome.stages if SIZE.cost in stage.cost]
    shipped = measure.of(outcome)
    if shipped is not None:
        found.setdefault(with_file[-1] if with_file else _SHIPPED, float(shipped))
    return list(found.items())


def waterfall_figure(outcome: Outcome, measures: Iterable[Measure]) -> go.Figure | None:
    """Return a figure with a row for each measure of two or more stages; None without any."""
    rows = [
        (measure, values)
        for measure in measures
        if len(values := stage_values(outcome, measure)) > 1
    ]
    if not rows:
        return None
    order = [*dict.fromkeys(stage.name for stage in outcome.stages), _SHIPPED]
    figure = new_figure(height=_ROW * len(rows) + 40)
    for place, (measure, values) in enumerate(rows):
        axis = "y" if place == 0 else f"y{place + 1}"
        figure.add_traces([_waterfall(measure, values, axis), _labels(measure, values, axis)])
        top = 1 - place / len(rows)
        highest = max(value for _, value in values)
        figure.layout[axis.replace("y", "yaxis")] = {
            "domain": [top - 1 / len(rows) + 0.05, top - 0.03],
            "title": {"text": measure.title},
            # Room for the labels above the bars.
            "range": [0, highest * 1.6],
            "showticklabels": False,
            "showgrid": False,
            "fixedrange": True,
        }
    figure.update_layout(
        xaxis={
            "categoryorder": "array",
            "categoryarray": order,
            "anchor": f"y{len(rows)}" if len(rows) > 1 else "y",
            "fixedrange": True,
        }
    )
    return figure


def _waterfall(measure: Measure, values: Sequence[tuple[str, float]], axis: str) -> go.Waterfall:
    levels = [value for _, value in values]
    changes = [levels[0], *(after - before for before, after in pairwise(levels))]
    up, down = (FRONTIER, LOSS) if measure.is_maximized else (LOSS, FRONTIER)
    return go.Waterfall(
        x=[name for name, _ in values],
        y=changes,
        measure=["absolute", *["relative"] * (len(values) - 1)],
        yaxis=axis,
        increasing={"marker": {"color": up}},
        decreasing={"marker": {"color": down}},
        totals={"marker": {"color": _TOTAL}},
        connector={"line": {"width": 1, "color": "rgba(128, 128, 128, 0.5)"}},
        hoverinfo="skip",
    )


def _labels(measure: Measure, values: Sequence[tuple[str, float]], axis: str) -> go.Scatter:
    """Return labels above the bars, with each step's value and change, also above falling bars."""
    levels = [value for _, value in values]
    steps = [measure.change(before, after) for before, after in pairwise(levels)]
    texts = [measure.label(levels[0])]
    texts += [f"{measure.label(v)}<br>{step}" for v, step in zip(levels[1:], steps, strict=True)]
    return go.Scatter(
        x=[name for name, _ in values],
        y=[levels[0], *(max(pair) for pair in pairwise(levels))],
        mode="text",
        text=texts,
        textposition="top center",
        cliponaxis=False,
        yaxis=axis,
        hovertemplate=f"%{{x}}: {measure.name} %{{text}}<extra></extra>",
    )
