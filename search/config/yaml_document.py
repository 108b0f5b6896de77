"""Reader of YAML text into plain values, with the place where each was written.

It reads a subset of YAML 1.2: mappings with text for keys, lists, text, numbers, true, false and
null. It refuses what is ambiguous, can grow without bound or can run code: anchors, aliases, tags,
duplicate keys, several documents, NaN and infinity. Plain `yes`, `no`, `on`, `off` and dates stay
text, and `1e-3` is a number, unlike in YAML 1.1, which PyYAML implements.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import yaml

from search.errors import StudyFileError

# No study needs as much. The limits bound the time and the stack that hostile text can use.
_MOST_LEVELS = 32
_MOST_VALUES = 20_000

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity)|\.?nan", re.IGNORECASE)
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlDocument:
    """Values, and the place where each was written.

    Attributes:
        values: dicts with text for keys, lists, text, finite numbers, booleans and None.
        origins: for the place of each value, where it is written, such as `study.yaml:3:5`.
    """

    values: object
    origins: Mapping[Place, str]

    def origin(self, place: Place) -> str:
        """Return where the value at `place` is written, or else the section around it."""
        while place not in self.origins:
            place = place[:-1]
        return self.origins[place]


def dotted(place: Place) -> str:
    """Return a place as a person writes it: `space.pruning.magnitude.ratio`."""
    return ".".join(map(str, place))


def read_document(text: str, where: Callable[[int, int], str], place: Place = ()) -> YamlDocument:
    """Read the one document in `text`.

    Args:
        text: YAML.
        where: returns text for a line and a column, both counted from 1.
        place: the place of the document in the study.

    Raises:
        StudyFileError: the text is not YAML, or uses a refused feature; the message says where.
    """
    return _YamlReader(text, where, place).document()


class _YamlReader:
    """Reader of values from PyYAML's events; it builds no refused feature."""

    def __init__(self, text: str, where: Callable[[int, int], str], place: Place) -> None:
        self._text = text
        self._where = where
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._place = place
        self._origins: dict[Place, str] = {place: where(1, 1)}

    def document(self) -> YamlDocument:
        self._next()  # the stream's start
        if isinstance(event := self._next(), yaml.StreamEndEvent):
            _refuse(self._where(1, 1), "must describe a study, but is empty")
        values = self._value(self._next(), self._place)
        self._next()  # the document's end
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            _refuse(self._at(event), "must hold one document, but another one starts here")
        return YamlDocument(values, self._origins)

    def _value(self, event: yaml.Event, place: Place) -> object:
        self._check(event, place)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, place)

    def _mapping(self, place: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            name = self._key(key, place)
            inner = (*place, name)
            if name in values:
                first = self._origins[inner]
                _refuse(
                    self._at(key), f"{dotted(inner)} must be given once, but is also at {first}"
                )
            value = self._next()
            # A section is easiest to find by its key, a plain value by itself.
            plain = isinstance(value, yaml.ScalarEvent) and value.value
            self._origins[inner] = self._at(value if plain else key)
            values[name] = self._value(value, inner)
        return values

    def _sequence(self, place: Place) -> list[object]:
        values: list[object] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            inner = (*place, len(values))
            self._origins[inner] = self._at(item)
            values.append(self._value(item, inner))
        return values

    def _key(self, event: yaml.Event, place: Place) -> str:
        self._check(event, place)
        if not isinstance(event, yaml.ScalarEvent):
            _refuse(
                self._at(event),
                f"{_within(place)} must have names for keys, but one is a list or a mapping",
            )
        name = self._scalar(event, place)
        if not isinstance(name, str):
            text = event.value
            _refuse(self._at(event), f"{_within(place)} must have names for keys, but got {text!r}")
        return name

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> object:
        text: str = event.value
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
            _refuse(
                self._at(event),
                f"{_within(place)} must be text on one line, without control "
                f"characters, but got {_short(text)}",
            )
        if event.style is not None:  # quoted
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = _number(text)
        if (number is not None and not -(2**63) <= number < 2**63) or _NOT_FINITE.fullmatch(text):
            _refuse(
                self._at(event),
                f"{_within(place)} must be a finite number of at most 64 "
                f"bits, but got {_short(text)}",
            )
        return text if number is None else number

    def _check(self, event: yaml.Event, place: Place) -> None:
        at = self._at(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _refuse(
                at,
                f"{_within(place)} must be a plain value, but is an anchor (&) or an alias (*): "
                "quote a text that begins with one of these signs",
            )
        if getattr(event, "tag", None) is not None:
            _refuse(
                at,
                f"{_within(place)} must be a plain value, but is a tag (!): quote a text that "
                "begins with this sign",
            )
        if len(place) > _MOST_LEVELS:
            _refuse(
                at, f"a study must have at most {_MOST_LEVELS} levels, but this level is deeper"
            )
        if len(self._origins) > _MOST_VALUES:
            _refuse(at, f"a study must hold at most {_MOST_VALUES} values, but this is one more")

    def _next(self) -> yaml.Event:
        try:
            return next(self._events)
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position]
            at = self._where(before.count("\n") + 1, len(before) - before.rfind("\n"))
            _refuse(at, "must be text without control characters, but here is one")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = self._where(mark.line + 1, mark.column + 1) if mark else self._where(1, 1)
            _refuse(at, f"must be YAML, but {error.problem or error.context}")
        except (ValueError, OverflowError):
            # PyYAML passes \U escapes and directives to chr() and int() unchecked.
            _refuse(self._where(1, 1), "must be YAML, but an escape in it names no character")

    def _at(self, event: yaml.Event) -> str:
        mark = event.start_mark
        assert mark is not None  # PyYAML marks every event that it parsed
        return self._where(mark.line + 1, mark.column + 1)


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        # Python refuses to convert thousands of digits; the code below refuses infinity.
        return int(text) if len(text) < 100 else math.inf
    return float(text) if _FLOAT.fullmatch(text) else None


def _within(place: Place) -> str:
    return dotted(place) or "a study"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "…")


def _refuse(origin: str, message: str) -> NoReturn:
    raise StudyFileError(f"{origin}: {message}") from None
