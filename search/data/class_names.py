"""Readable names of classes, from the study file or a file of names.

A class is identified by its name in the data, such as a folder or a label. The readable name is
only shown, so that another one changes neither the labels nor their order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from search.data.dataset import DataInfo
from search.data.sources.table_file import read_rows
from search.errors import DataError
from search.files.reading import DamagedFile, read_json, read_limited
from spaces.names import suggestion

Given = str | Sequence[str] | Mapping[str, str]

_MOST_BYTES = 2**24
_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ReadableNames:
    """The names by which classes are shown.

    Attributes:
        names: the name of each class, in the order of the labels.
        fact: what was read, in a line.
    """

    names: tuple[str, ...]
    fact: str


def readable_names(given: Given, classes: Sequence[str]) -> ReadableNames:
    """Return the readable names of classes; a class without one keeps its own.

    Args:
        given: a path, names by number, or names by class.
        classes: the names of the classes in the data.

    Raises:
        DataError: the file can't be read, no name belongs to a class, or the names are ambiguous.
    """
    known = _Classes(classes)
    try:
        pairs = list(_pairs(given, known))
    except (OSError, DamagedFile) as error:
        raise DataError(
            f"data.class_names must be a file with the names of the classes, but {given!r} can't "
            f"be read ({error}); correct the path or the file"
        ) from error
    named: dict[str, str] = {}
    others = []
    for key, text in pairs:
        name = " ".join(text.split())
        if (own := known.find(key)) is None:
            others.append(key)
        elif named.setdefault(own, name) != name or not name:
            raise DataError(
                f"data.class_names must give each class one name, but {own!r} has "
                f"{named[own]!r} and {name!r}; correct it"
            )
    _check(named, classes, others)
    names = tuple(named.get(one, one) for one in classes)
    return ReadableNames(names=names, fact=_fact(given, named, classes, len(others)))


def labels_of(key: str, names: Iterable[str], info: DataInfo) -> dict[str, int]:
    """Return the label of each named class: by its name in the data, or its readable name.

    Args:
        key: the key of the study file with the names, for the message.
        names: the names.
        info: the data.

    Raises:
        DataError: a name is of no class; the message names similar ones.
    """
    own = {name: label for label, name in enumerate(info.class_ids)}
    shown = {normalize("NFC", name): label for label, name in enumerate(info.classes)}
    known, found = _Classes(info.class_ids), {}
    for name in names:
        of_data = known.find(name)
        label = shown.get(_one_line(name)) if of_data is None else own[of_data]
        if label is None:
            both = dict.fromkeys((*info.classes, *info.class_ids))
            raise DataError(
                f"{key} must name classes of the data, but {name!r} is none"
                f"{suggestion(name, both)}; the classes are {_shown(info.classes)}"
            )
        found[name] = label
    return found


def _one_line(name: str) -> str:
    return normalize("NFC", " ".join(name.split()))


class _Classes:
    """The classes of the data, found by their names, or by their numbers if all are numbers."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.by_name = {normalize("NFC", one): one for one in classes}
        numbers = {int(one): one for one in classes if one.isdecimal()}
        self.by_number = numbers if len(numbers) == len(classes) else {}

    def find(self, key: str) -> str | None:
        """Return the class of a key, such as `00014` for 14; None if there is none."""
        key = normalize("NFC", key.strip())
        if key not in self.by_name and key.isdecimal():
            return self.by_number.get(int(key))
        return self.by_name.get(key)


def _pairs(given: Given, known: _Classes) -> Iterator[tuple[str, str]]:
    """Yield keys of classes, and their names."""
    if isinstance(given, Mapping):
        yield from given.items()
    elif not isinstance(given, str):
        yield from _numbered(given, known)
    elif given.lower().endswith(".json"):
        yield from _of_json(read_json(Path(given)), known)
    elif given.lower().endswith((".csv", ".tsv")):
        yield from _of_table(Path(given), known)
    else:
        yield from _of_lines(Path(given), known)


def _numbered(names: Sequence[str], known: _Classes) -> Iterator[tuple[str, str]]:
    if 0 not in known.by_number:  # a list for numbers from 1 would name each class like the next
        shown = ", ".join(map(repr, list(known.by_name)[:_MOST_SHOWN]))
        raise DataError(
            f"a list in data.class_names is for classes that are numbers from 0, but the classes "
            f"are {shown}; write each class before its name"
        )
    for number, name in enumerate(names):
        yield str(number), name


def _of_json(content: Any, known: _Classes) -> Iterator[tuple[str, str]]:
    values = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise DamagedFile("it must be a mapping of classes to names, or a list of names")
    yield from content.items() if isinstance(content, dict) else _numbered(content, known)


def _of_table(path: Path, known: _Classes) -> Iterator[tuple[str, str]]:
    """Yield the rows of two columns, without a first row of column names."""
    for place, (line, cells) in enumerate(read_rows(path)):
        if len(cells) != 2:
            raise DamagedFile(
                f"it must have two columns, the class and its name, but line {line} has "
                f"{len(cells)} values: {cells[:_MOST_SHOWN]}; quote a name that contains the "
                "separator"
            )
        if place or known.find(cells[0]) is not None:
            yield cells[0], cells[1]


def _of_lines(path: Path, known: _Classes) -> Iterator[tuple[str, str]]:
    """Yield lines of a class and its name, or else of names alone."""
    try:
        text = read_limited(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"it must be UTF-8 text, but byte {error.start + 1} is not") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [(words[0], " ".join(words[1:])) for words in map(str.split, lines)]
    found = sum(known.find(key) is not None and bool(name) for key, name in pairs)
    # A name such as `3 wheels` may begin with the number of another class.
    if 2 * found >= min(len(lines), len(known.by_name)):
        yield from pairs
    else:
        yield from _numbered(lines, known)


def _check(named: Mapping[str, str], classes: Sequence[str], others: Sequence[str]) -> None:
    if not named:
        raise DataError(
            "data.class_names must name classes of the data, but none of its "
            f"{len(others)} names is of one: it names {_shown(others)}, and the classes are "
            f"{_shown(classes)}; correct it"
        )
    names = [named.get(one, one) for one in classes]
    (name, times), *_ = Counter(names).most_common(1)
    if times > 1:
        same = [one for one in classes if named.get(one, one) == name]
        raise DataError(
            f"data.class_names must give different names to different classes, but {_shown(same)} "
            f"are all named {name!r}; change one of them"
        )
    taken = set(classes)
    for one, name in named.items():
        if name != one and name in taken:
            raise DataError(
                f"data.class_names must not name a class like another class of the data, but it "
                f"names {one!r} {name!r}; choose another name"
            )


def _fact(given: Given, named: Mapping[str, str], classes: Sequence[str], others: int) -> str:
    where = f" from {Path(given).name}" if isinstance(given, str) else ""
    text = f"names of {len(named)} of {len(classes)} classes{where}"
    if lacking := [one for one in classes if one not in named]:
        text += f"; {_shown(lacking)} have none"
    return text + (f"; names of no class: {others}" if others else "")


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(map(repr, names[:_MOST_SHOWN])) + more
