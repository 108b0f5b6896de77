"""Tables of what `retort evaluate` found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from search.cli.tables import add_figures, fitting, metric_text
from search.cli.terminal import out
from search.objectives.budget import cost_texts
from search.objectives.goal import Goal

if TYPE_CHECKING:
    from search.export.evaluate import EvaluationResult

_MODEL = 12  # characters: the smallest width of the column of models


def results_table(found: Sequence["EvaluationResult"], goal: Goal, *, title: str) -> Table:
    """Return a table with a row per model: the goal's columns, then others if they fit."""
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1), pad_edge=False,
    )  # fmt: skip
    rows = [_figures(each, goal) for each in found]
    titles, room = list(rows[0]), out.width - _MODEL - 2
    names = titles[: fitting(titles, rows, needed=2 + len(goal.costs), room=room, between=2)]
    table.add_column("model", overflow="fold", min_width=_MODEL)
    add_figures(table, names)
    for each, row in zip(found, rows, strict=True):
        table.add_row(escape(each.model), *(row[name] for name in names))
    return table


def _figures(found: "EvaluationResult", goal: Goal) -> dict[str, str]:
    """Return a model's figures by column, the most important first."""
    own, *others = goal.all_metrics
    costs = cost_texts(found.cost)
    # Without per cent signs: the column of the metric has one.
    interval = [own.format(end).rstrip("%") for end in found.interval(own) or ()]
    return {
        own.label: metric_text(own, found.quality),
        "95%": "–".join(interval) or "–",
        **{limit.label: costs[limit.label] for limit in goal.costs},
        **{metric.label: metric_text(metric, found.quality) for metric in others},
        **{limit.label: costs[limit.label] for limit in goal.all_limits},
    }
