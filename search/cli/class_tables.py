"""Tables of recalls and confused classes, of one or several models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.classes import ClassResult, ConfusionCell, ResultsByClass
from search.cli.terminal import out, say

if TYPE_CHECKING:
    from search.export.evaluate import EvaluationResult

_MOST_ROWS = 10
_WHOLE_MATRIX = 10  # classes: the largest confusion matrix that a terminal has room for
_NAME = 12  # characters: the smallest width of a column of classes
_FIGURE = 12  # characters: the width that a model's column needs


def print_by_class(found: Sequence["EvaluationResult"]) -> None:
    """Print the worst classes, and the confusion matrix or, of many classes, its largest cells."""
    print_recalls(found, most=_MOST_ROWS)
    print_confusions(found, most=_MOST_ROWS)
    say("all of it: --rows classes, --rows confusions, with --format table, json or csv")


def print_recalls(found: Sequence["EvaluationResult"], *, most: int | None = None) -> None:
    """Print the recall of each class for each model, the first model's worst classes first.

    Args:
        found: the models.
        most: the number of classes to print; None prints all.
    """
    first, *others = shown = _that_fit(found, names=1)
    classes = first.by_class.worst_first
    worst = classes[:most]
    count = f"the worst {len(worst)} of " if len(worst) < len(classes) else "the worst first, "
    table = _table(f"recall by class: {count}{len(classes)} classes", ["class"])
    for title in ("images", *(each.model for each in shown)):
        table.add_column(escape(title), justify="right", overflow="fold")
    if not others:
        table.add_column("mostly taken for", overflow="fold", min_width=_NAME)
    for each in worst:
        recalls = [_recall(other.by_class.classes[each.label]) for other in shown]
        wrong = [] if others else [_mostly_taken_for(each, first.by_class)]
        table.add_row(escape(each.name), str(each.images), *recalls, *map(escape, wrong))
    out.print(table)
    for model in found:
        if never := model.by_class.never_right:
            say(f"{model.model}: {never} of {len(classes)} classes are never right")
    out.print()


def print_confusions(found: Sequence["EvaluationResult"], *, most: int | None = None) -> None:
    """Print which classes are taken for which.

    Args:
        found: the models.
        most: the number of pairs to print if there are many classes; None prints all.
    """
    if len(found[0].by_class.classes) <= _WHOLE_MATRIX:
        for model in found:
            out.print(_matrix(model))
        return
    first, *_ = shown = _that_fit(found, names=2)
    pairs = first.by_class.pairs
    count = f"the first {most} of " if most and most < len(pairs) else ""
    table = _table(f"most confused pairs: {count}{len(pairs)}", ["class", "taken for"])
    for model in shown:
        table.add_column(escape(model.model), justify="right", overflow="fold")
    cells = [{(cell.true, cell.predicted): cell for cell in each.by_class.cells} for each in shown]
    names = [each.name for each in first.by_class.classes]
    for pair in pairs[:most]:
        counts = [_count(known.get((pair.true, pair.predicted))) for known in cells]
        table.add_row(escape(names[pair.true]), escape(names[pair.predicted]), *counts)
    out.print(table)


def _that_fit(found: Sequence["EvaluationResult"], *, names: int) -> Sequence["EvaluationResult"]:
    """Return the first models whose columns fit beside so many columns of names."""
    room = out.width - names * (_NAME + 3) - len("images") - 3
    return found[: max(1, room // (_FIGURE + 3))]


def _matrix(model: "EvaluationResult") -> Table:
    results = model.by_class
    title = f"confusion matrix of {model.model}: rows are the true classes, columns the predicted"
    table = _table(title, ["class"])
    for each in results.classes:
        table.add_column(escape(each.name), justify="right", overflow="fold")
    for each, row in zip(results.classes, results.matrix().tolist(), strict=True):
        table.add_row(escape(each.name), *(str(count) if count else "·" for count in row))
    return table


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD
    )
    for name in names:
        table.add_column(name, overflow="fold", min_width=_NAME)
    return table


def _recall(found: ClassResult) -> str:
    return "–" if found.recall is None else f"{found.recall:.1%}"


def _mostly_taken_for(found: ClassResult, results: ResultsByClass) -> str:
    cell = results.mostly_taken_for.get(found.label)
    return "" if cell is None else f"{results.classes[cell.predicted].name}: {_count(cell)}"


def _count(cell: ConfusionCell | None) -> str:
    return "–" if cell is None else f"{cell.images} ({cell.share:.0%})"
