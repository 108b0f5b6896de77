"""The consoles, and output for scripts: JSON and CSV."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
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


def write_json(value: object) -> None:
    """Write JSON to standard output, unformatted."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")


def write_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """Write CSV to standard output; its columns are all keys that occur in a row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return
    writer = csv.DictWriter(sys.stdout, [visible(name) for name in columns], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({visible(key): _cell(value) for key, value in row.items()})


def _cell(value: object) -> object:
    return visible_lines(value) if isinstance(value, str) else value
