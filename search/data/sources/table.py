"""A table of images: a CSV, TSV or Parquet file that names a file and a label in each row."""

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from search.config.data_settings import DataSettings
from search.data.groups import groups_of, numbered, suggested_groups
from search.data.images import printable
from search.data.pictures import FilePictures
from search.data.sources.source import HELD_OUT, TRAINING, Pool, Source
from search.data.sources.table_columns import (
    ChosenColumns,
    choose_columns,
    image_values,
    likely_group_column,
)
from search.data.sources.table_file import TableFile, read_table, shown_names
from search.data.sources.table_images import images_folder, joined, locate
from search.errors import DataError

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
# The name of the part for each value of a table, in the order training, validation, test.
_PARTS: Mapping[str, str] = {
    value: values[0] for values in (TRAINING, *HELD_OUT) for value in values
}
_IN_ORDER = tuple(dict.fromkeys(_PARTS.values()))


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with a label and a file.

    Attributes:
        index: its index in the table.
        name: the path of its file below the folder of the images.
        label, part, group: what the table says; `part` and `group` are empty without a column.
    """

    index: int
    name: str
    label: str
    part: str
    group: str


def read(settings: DataSettings) -> Source:
    """Read the table `settings.path`.

    Raises:
        DataError: the table is missing, damaged or empty; its columns are unclear; images are
            missing or outside of their folder; or rows contradict one another.
    """
    table, columns = _opened(settings)
    rows, unused = _rows(table, columns, settings)
    labels = _in_order({row.label for row in rows})
    by_part = _by_part(table, rows, labels)
    training, *held_out = _pools(by_part, labels, columns, settings)
    has_groups = settings.groups is not None or columns.group is not None
    may_leak = len(held_out) < len(HELD_OUT) and not has_groups
    paths = [f"{row.label}/{row.name}" for row in by_part[0]]
    is_said_none = settings.columns is not None and settings.columns.group == ""
    column = "" if is_said_none else likely_group_column(table, columns)
    return Source(
        classes=tuple(printable(label) for label in labels),
        training=training,
        held_out=tuple(held_out),
        unused=unused,
        suggested_groups=suggested_groups(paths) if may_leak else 0,
        suggested_column=column if may_leak else "",
        read=(f"{len(table)} rows of {table.path.name}: {columns}",),
    )


def named_files(settings: DataSettings) -> Iterator[str]:
    """Yield the path of the table, and each path that it names; a file need not exist.

    Raises:
        DataError: as for `read`.
    """
    table, columns = _opened(settings)
    root = str(images_folder(settings))
    yield str(table.path.absolute())
    yield from (joined(root, value) for value in image_values(table, columns.image))


def _opened(settings: DataSettings) -> tuple[TableFile, ChosenColumns]:
    assert settings.path is not None
    table = read_table(settings.path.expanduser())
    return table, choose_columns(table, settings.columns, groups=settings.groups)


def _rows(
    table: TableFile, columns: ChosenColumns, settings: DataSettings
) -> tuple[list[_Row], Counter[str]]:
    """Return the rows with a label and a file, one for each file; count the others."""
    labels = [normalize("NFC", label) for label in table.column(columns.label)]
    values = image_values(table, columns.image)
    labelled = {index: value for index, value in enumerate(values) if labels[index]}
    located = locate(table, labelled, columns.image, settings)
    parts = _parts(table, columns.part, labels)
    groups = [""] * len(table) if columns.group is None else table.column(columns.group)
    unused = Counter(
        {
            "rows without a label": labels.count(""),
            "rows whose image is missing": len(located.missing),
        }
    )
    rows: dict[str, _Row] = {}
    for index, name in located.names.items():
        row = _Row(index, name, labels[index], parts[index], groups[index])
        if (first := rows.setdefault(name, row)) is not row:
            _check_same(table, first, row)
            unused["rows that repeat another"] += 1
    if not rows:
        raise DataError(
            f"a table must have rows with a label, but none of the {len(table)} rows of "
            f"{table.path.name} has one in the column {columns.label!r}; fill it in, or set "
            f"data.columns.label to another of {shown_names(table.names)}"
        )
    return list(rows.values()), +unused


def _parts(table: TableFile, column: str | None, labels: Sequence[str]) -> list[str]:
    """Return the part of each row; without a column, all rows are training images."""
    if column is None:
        return [_IN_ORDER[0]] * len(table)
    values = table.column(column)
    parts = [_PARTS.get(value.lower(), "") for value in values]
    for index, part in enumerate(parts):
        if not part and labels[index]:
            raise DataError(
                f"the part of each row must be one of {', '.join(_PARTS)}, but "
                f"{table.place(index)} of {table.path.name} has {values[index]!r} in the column "
                f'{column!r}; correct it, or set data.columns.part to another column, or to "" '
                "so that retort splits the images"
            )
    return parts


def _check_same(table: TableFile, first: _Row, second: _Row) -> None:
    """Check that two rows of one image say the same of it."""
    for what in ("label", "part", "group"):
        one, other = getattr(first, what), getattr(second, what)
        if one != other:
            raise DataError(
                f"each image must have one {what}, but {first.name!r} has {one!r} on "
                f"{table.place(first.index)} of {table.path.name} and {other!r} on "
                f"{table.place(second.index)}; remove one of these rows"
            )


def _in_order(labels: set[str]) -> list[str]:
    """Return the labels in the order of the classes: numbers by their value, else as text."""
    if all(_NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)


def _by_part(table: TableFile, rows: Sequence[_Row], labels: Sequence[str]) -> list[list[_Row]]:
    """Return the rows of each part that the table has, in the order of labels and names."""
    numbers = {label: number for number, label in enumerate(labels)}
    found: dict[str, list[_Row]] = {part: [] for part in _IN_ORDER}
    for row in sorted(rows, key=lambda row: (numbers[row.label], row.name)):
        found[row.part].append(row)
    if not found[_IN_ORDER[0]]:
        counts = ", ".join(f"{len(own)} {part}" for part, own in found.items())
        raise DataError(
            f"a table must have training images, but {table.path.name} has {counts}; correct its "
            'column of parts, or set data.columns.part: "" so that retort splits the images'
        )
    return [own for own in found.values() if own]


def _pools(
    parts: Sequence[Sequence[_Row]],
    labels: Sequence[str],
    columns: ChosenColumns,
    settings: DataSettings,
) -> Iterator[Pool]:
    root, follow = images_folder(settings), settings.follow_links
    numbers = {label: number for number, label in enumerate(labels)}
    groups = _groups(parts, columns, settings.groups)
    for place, rows in enumerate(parts):
        names = [row.name for row in rows]
        yield Pool(
            pictures=FilePictures.under(root, names, channels=3, follow_links=follow),
            labels=np.array([numbers[row.label] for row in rows], dtype=np.int64),
            groups=None if groups is None else groups[place],
        )


def _groups(
    parts: Sequence[Sequence[_Row]], columns: ChosenColumns, way: str | None
) -> list[np.ndarray] | None:
    """Return the groups of each part, by a column or by the paths; None if there are none."""
    own: list[list[Hashable]]
    if columns.group is not None:
        # A row without a group is a group of its own.
        own = [[row.group or ("own", row.name) for row in rows] for rows in parts]
    elif way is not None:
        own = [groups_of([row.name for row in rows], way) for rows in parts]
    else:
        return None
    return numbered(own)
