"""The consoles, and output for scripts: JSON and CSV."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from search.files.text import visible, visible_lines


class _VisibleConsole(Console):
    r"""A console that prints control characters as text, such as `\x1b`, and never acts on them.

    Names and messages come from stores, folders and machines that others control.
    """

    # Both are needed: rich measures cells after `render_str`, and spinners don't call it.
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible_lines(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))


# Otherwise rich would turn line 100 in `study.yaml:100:3` into an emoji.
out = _VisibleConsole(emoji=False)
err = _VisibleConsole(stderr=True, emoji=False)


def complain(message: str) -> None:
    """Print an error on standard error."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """Print a line unwrapped, so that its names can be copied."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, on standard error: a spinner on a terminal, else a line each time.

    So standard output holds the results alone, and may be a file.
    """
    if err.is_terminal:
        with err.status(escape(first)) as spinner:
            yield lambda text: spinner.update(escape(text))
        return

    def line(text: str) -> None:
        err.print(escape(text), highlight=False, soft_wrap=True)

    line(first)
    yield line


def write_json(value: object) -> None:
    """Write JSON to standard output, unformatted."""
    sys.stdout.write(json_text(value))


def json_text(value: object) -> str:
    """Return a value as JSON, with a line end."""
    return json.dumps(value, indent=2, default=str, allow_nan=False) + "\n"


def write_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """Write CSV to standard output; its columns are all keys that occur in a row."""
    sys.stdout.write(csv_text(rows))


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as CSV; its columns are all keys that occur in a row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, [visible(name) for name in columns], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({visible(key): _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    return visible_lines(value) if isinstance(value, str) else value
