"""How things look on a terminal: consoles, tables, and plain text for scripts."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from search.objectives.budget import cost_texts
from search.records import Outcome, TeacherRecord, TrialRecord, TrialState
from search.text import visible, visible_lines


class _VisibleConsole(Console):
    r"""A console that shows what others wrote, and does not do it: `\x1b` for an escape.

    Names and messages come from stores, folders and machines that are not ours.
    """

    # Both: cells are measured by what becomes of their text, and spinners bring text of their own.
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible_lines(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))


# Or rich would make a picture of line 100 in `study.yaml:100:3`.
out = _VisibleConsole(emoji=False)
err = _VisibleConsole(stderr=True, emoji=False)

_STYLES = {
    TrialState.RUNNING: "cyan",
    TrialState.COMPLETE: "green",
    TrialState.INFEASIBLE: "yellow",
    TrialState.STOPPED: "blue",
    TrialState.FAILED: "red",
    TrialState.INTERRUPTED: "magenta",
}


def complain(message: str) -> None:
    """An error, on standard error."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """A line as it is: not wrapped, so that what it names can be copied."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def write_json(value: object) -> None:
    """JSON on standard output, as it is."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")


def write_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """CSV on standard output; its columns are all that occur in a row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return
    writer = csv.DictWriter(sys.stdout, [visible(name) for name in columns], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({visible(key): _cell(value) for key, value in row.items()})


def _cell(value: object) -> object:
    return visible_lines(value) if isinstance(value, str) else value


def state_text(state: TrialState) -> str:
    """The state, coloured."""
    return f"[{_STYLES[state]}]{state}[/]"


def percent(share: float | None) -> str:
    """`97.31%`, or a dash for nothing."""
    return "–" if share is None else f"{share:.2%}"


def recipe_text(params: Mapping[str, object]) -> str:
    """A recipe in a few words: `test_resnet, soft_targets, magnitude 0.34, int8_static`."""
    # A trial of a store that was edited by hand may lack any of them.
    student = params.get("student.timm.model", params.get("student", "–"))
    words = [str(student), str(params.get("distillation", "–"))]
    pruning = str(params.get("pruning", "–"))
    ratio = params.get(f"pruning.{pruning}.ratio")
    if pruning != "none":
        words.append(f"{pruning} {ratio:.2f}" if isinstance(ratio, float) else pruning)
    return ", ".join([*words, str(params.get("quantization", "–"))])


def trial_table(
    trials: Sequence[TrialRecord], *, title: str, teacher: TeacherRecord | None = None
) -> Table:
    """Trials a row each, the teacher last, to compare with. Their states only where they differ."""
    states = {trial.state for trial in trials} != {TrialState.COMPLETE}
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD
    )
    for name in ("trial", "accuracy", "test", "bytes", "latency"):
        table.add_column(name, justify="right", no_wrap=True)
    if states:
        table.add_column("state", no_wrap=True)
    table.add_column("recipe", overflow="fold", min_width=20)
    for trial in trials:
        outcome = trial.outcome
        quality = outcome.quality if outcome else None
        table.add_row(
            str(trial.number),
            percent(quality.accuracy if quality else None),
            percent(trial.test.accuracy if trial.test else None),
            *cost_texts(outcome.cost if outcome else None)[:2],
            *([state_text(trial.state)] if states else []),
            escape(recipe_text(trial.params)) + _no_op_mark(outcome),
        )
    if teacher:
        table.add_section()
        table.add_row(
            "teacher",
            percent(teacher.accuracy),
            percent(teacher.test_accuracy),
            *cost_texts(teacher.cost)[:2],
            *([""] if states else []),
            escape(teacher.name),
            style="dim",
        )
    return table


def _no_op_mark(outcome: Outcome | None) -> str:
    """Which stages made no difference; `retort show` says why."""
    lines = (outcome.no_op or "").splitlines() if outcome else []
    stages = ", ".join(line.partition(":")[0] for line in lines)
    return f" [yellow](no_op: {escape(stages)})[/]" if stages else ""
