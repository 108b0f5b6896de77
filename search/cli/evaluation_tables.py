"""Output of `retort evaluate`: tables, JSON and CSV."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from search.cli.browsing import OutputFormat
from search.cli.class_tables import print_by_class, print_confusions, print_recalls
from search.cli.tables import add_figures, fitting
from search.cli.terminal import out, say, write_csv, write_json
from search.objectives.budget import cost_texts, doubt_text
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.intervals import measured_text

if TYPE_CHECKING:
    from search.export.evaluate import EvaluationResult

_MODEL = 12  # characters: the smallest width of the column of models


class EvaluatedRows(StrEnum):
    """The rows that `retort evaluate` writes."""

    MODELS = "models"
    CLASSES = "classes"
    CONFUSIONS = "confusions"


def show_evaluation(
    found: Sequence["EvaluationResult"],
    goal: Goal,
    floors: Sequence[Floor],
    *,
    rows: EvaluatedRows,
    as_format: OutputFormat,
    title: str,
) -> None:
    """Print the results; tables show the models with both other kinds of rows in short."""
    match as_format:
        case OutputFormat.TABLE:
            _print_tables(found, goal, floors, rows=rows, title=title)
        case OutputFormat.JSON:
            write_json(_written(found, goal, floors, rows))
        case OutputFormat.CSV:
            write_csv(_written(found, goal, floors, rows))


def _print_tables(
    found: Sequence["EvaluationResult"],
    goal: Goal,
    floors: Sequence[Floor],
    *,
    rows: EvaluatedRows,
    title: str,
) -> None:
    match rows:
        case EvaluatedRows.MODELS:
            out.print(_results_table(found, goal, floors, title=title))
            _print_broken_floors(found, floors)
            print_by_class(found)
        case EvaluatedRows.CLASSES:
            print_recalls(found)
        case EvaluatedRows.CONFUSIONS:
            print_confusions(found)


def _print_broken_floors(found: Sequence["EvaluationResult"], floors: Sequence[Floor]) -> None:
    for each in found:
        if broken := each.broken_floors(floors):
            say(f"{each.model} breaks floors of the budget here: {'; '.join(broken)}")


def _written(
    found: Sequence["EvaluationResult"],
    goal: Goal,
    floors: Sequence[Floor],
    rows: EvaluatedRows,
) -> list[dict[str, Any]]:
    match rows:
        case EvaluatedRows.MODELS:
            return [each.to_json(goal, floors) for each in found]
        case EvaluatedRows.CLASSES:
            return [row for each in found for row in each.class_rows()]
        case EvaluatedRows.CONFUSIONS:
            return [row for each in found for row in each.confusion_rows()]


def _results_table(
    found: Sequence["EvaluationResult"], goal: Goal, floors: Sequence[Floor], *, title: str
) -> Table:
    """Return a table with a row per model: the goal's columns, then floors and others that fit."""
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1), pad_edge=False, caption_justify="left",
    )  # fmt: skip
    rows = [_figures(each, goal, floors) for each in found]
    titles, room = list(rows[0]), out.width - _MODEL - 2
    names = titles[: fitting(titles, rows, needed=2 + len(goal.costs), room=room, between=2)]
    table.add_column("model", overflow="fold", min_width=_MODEL)
    add_figures(table, names)
    for each, row in zip(found, rows, strict=True):
        table.add_row(escape(each.model), *(row[name] for name in names))
    table.caption = doubt_text(*(each.cost for each in found))
    return table


def _figures(found: "EvaluationResult", goal: Goal, floors: Sequence[Floor]) -> dict[str, str]:
    """Return a model's figures by column, the most important first."""
    own, *others = goal.all_metrics
    costs = cost_texts(found.cost)
    # Without per cent signs: the column of the metric has one.
    interval = [own.format(end).rstrip("%") for end in found.interval(own) or ()]
    return {
        own.label: measured_text(own, found.quality),
        "95%": "–".join(interval) or "–",
        **{limit.label: costs[limit.label] for limit in goal.costs},
        **{floor.label: floor.text(found.quality) for floor in floors},
        **{metric.label: measured_text(metric, found.quality) for metric in others},
        **{limit.label: costs[limit.label] for limit in goal.all_limits},
    }
