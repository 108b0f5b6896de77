"""Reading of a table, from a CSV, TSV or Parquet file, as columns of text."""

import codecs
import csv
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from search.errors import DataError
from search.files.reading import DamagedFile, check_unpacked, read_limited

_MOST_BYTES = 2**29
_MOST_ROWS = 10**7
_SEPARATORS = ",;\t|"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class TableFile(ABC):
    """A table of text.

    Attributes:
        path: its file.
        names: the names of its columns, in their order.
    """

    unit: ClassVar[str]  # how its rows are counted in messages

    path: Path
    names: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def column(self, name: str) -> list[str]:
        """Return the values of a column, without spaces around them; empty for a missing value.

        Raises:
            DataError: the column has values that are neither text nor numbers.
        """

    @abstractmethod
    def number(self, index: int) -> int:
        """Return the number of a row's line or row in the file, from 1."""

    def place(self, index: int) -> str:
        """Return where a row is in the file, such as `line 2`."""
        return f"{self.unit} {self.number(index)}"


@dataclass(frozen=True, kw_only=True)
class TextTable(TableFile):
    """A table of a text file: the cells of each row, and the line on which the row begins."""

    unit: ClassVar[str] = "line"

    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        place = self.names.index(name)
        return [row[place].strip() for row in self.rows]

    def number(self, index: int) -> int:
        return self.lines[index]


@dataclass(frozen=True, kw_only=True)
class ParquetTable(TableFile):
    """A table of a Parquet file, whose columns are read when they are needed."""

    unit: ClassVar[str] = "row"

    file: Any

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    def column(self, name: str) -> list[str]:
        try:
            values = self.file.read(columns=[name]).column(name).to_pylist()
        except (OSError, ValueError, LookupError, NotImplementedError) as error:
            raise _damaged(self.path, f"its column {name!r} can't be read: {error}") from error
        found = next((value for value in values if not _is_plain(value)), None)
        if found is not None:
            raise DataError(
                f"a column of a table must hold text or numbers, but {name!r} of "
                f"{self.path.name} holds values of type {type(found).__name__}; write images to "
                "files, and their paths and labels into columns of text"
            )
        return [_text(value) for value in values]

    def number(self, index: int) -> int:
        return index + 1


def read_table(path: Path) -> TableFile:
    """Read a table; its suffix says how.

    Raises:
        DataError: the file is missing or damaged, has no rows, or is no table.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".parquet"):
        raise DataError(
            f"data.path must be a table, a .csv, .tsv or .parquet file, but is {str(path)!r}; name "
            "such a file, or set data.source: folder for class folders"
        )
    if not path.is_file():
        raise DataError(f"data.path must be a file, but {str(path)!r} is not; correct the path")
    try:
        table = _parquet(path) if suffix == ".parquet" else _text_table(path)
    except DamagedFile as error:
        raise _damaged(path, str(error)) from error
    if not len(table):
        raise DataError(
            f"a table must have a row for each image, but {str(path)!r} has only the names of its "
            f"columns, {shown_names(table.names)}; add rows"
        )
    return table


def shown_names(names: Sequence[str]) -> str:
    """Return the names of columns in quotes, for messages."""
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def read_rows(path: Path, separators: str = _SEPARATORS) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV or TSV file that are not empty, each with its first line's number.

    The separator is the one that occurs most often in the first line; of a .tsv file, the tab.

    Raises:
        DamagedFile: the file is not text in UTF-8 or UTF-16, too large, or its quotes are wrong.
        OSError: it can't be read.
    """
    text = _decoded(read_limited(path, _MOST_BYTES))
    first = text.lstrip().partition("\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(separators, key=first.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DamagedFile(f"line {line}: {error}") from error


def _text_table(path: Path) -> TextTable:
    found = read_rows(path)
    _, header = next(found, (1, []))
    if not header:
        raise DamagedFile("it is empty")
    numbered = list(found)
    for line, cells in numbered:
        if len(cells) != len(header):
            raise DamagedFile(
                f"line {line} has {len(cells)} values, but the first line names {len(header)} "
                f"columns: {cells[:5]}; quote a value that contains the separator"
            )
    return TextTable(
        path=path,
        names=tuple(name.strip() for name in header),
        rows=[cells for _, cells in numbered],
        lines=[line for line, _ in numbered],
    )


def _decoded(content: bytes) -> str:
    # Spreadsheets write "Unicode text" as UTF-16.
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DamagedFile(
            f"it must be UTF-8 text, but byte {error.start + 1}, on line {line}, is not; save it "
            "as UTF-8"
        ) from error


def _parquet(path: Path) -> ParquetTable:
    from pyarrow import parquet  # slow to import

    try:
        file = parquet.ParquetFile(path)
        metadata = file.metadata
        names = tuple(map(str, file.schema_arrow.names))
    except (OSError, ValueError, NotImplementedError) as error:
        raise DamagedFile(str(error)) from error
    if metadata.num_rows > _MOST_ROWS:
        raise DamagedFile(
            f"it must have at most {_MOST_ROWS:,} rows, but has {metadata.num_rows:,}"
        )
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    check_unpacked(sum(group.total_byte_size for group in groups), path.stat().st_size)
    return ParquetTable(path=path, names=names, file=file)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _text(value: str | float | None) -> str:
    """Return a value as text; a whole number without a decimal point, also if it is a float."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"a table must be undamaged, but {str(path)!r} is not ({reason})")
