"""The rule for the values of each column, for all kinds of databases.

The constraints of the tables prevent most invalid writes. A manual edit can disable them, so these
rules are checked in addition.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Float, Integer, Table, Text

from search.errors import BadInput
from search.objectives.budget import stored_budget
from search.objectives.metrics import metrics
from search.records import StudyState, TrialKind, TrialState
from search.storage.columns import Flag, UtcTime
from search.storage.tables import Table as TableRow

_SECTIONS = ("data", "space", "budget", "search", "run")
_MOST = 1e12
"""In milliseconds or seconds: far above any measurement, but too low for an overflow."""
_MOST_COST = 1e18
"""In the unit of any cost: likewise."""
_YEARS = range(1970, 3000)


@dataclass(frozen=True)
class ColumnRule:
    """A rule for a column's values; `words` continue the text `must be`."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(value: object) -> bool:
    return type(value) is int


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf  # type: ignore[arg-type]


def _is_measure(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST  # type: ignore[operator]


def _is_cost(value: object) -> bool:
    return type(value) is dict and all(map(_is_text, value)) and all(
        map(_is_amount, value.values())
    )  # fmt: skip


def _is_amount(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST_COST  # type: ignore[operator]


def _is_quality(value: object) -> bool:
    return type(value) is dict and all(
        _is_text(name) and _is_measurement(name, found) for name, found in value.items()
    )


def _is_measurement(metric: str, found: object) -> bool:
    if type(found) is not dict or found.keys() != {"value", "error"}:
        return False
    value, error = found["value"], found["error"]
    if not _is_finite(value) or not (error is None or _is_amount(error)):
        return False
    known = metrics().get(metric)
    return known is None or known.can_be(value)


def _is_text(value: object) -> bool:
    return type(value) is str and (value.isascii() or _encodes(value)) and "\0" not in value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_time(value: object) -> bool:
    return isinstance(value, datetime) and value.year in _YEARS


def _is_scalar(value: object) -> bool:
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return type(value) is bool or _is_text(value) or _is_finite(value)


def _is_flat(value: object) -> bool:
    """Return whether the value is an object whose values are texts, numbers or booleans."""
    return (
        type(value) is dict and all(map(_is_text, value)) and all(map(_is_scalar, value.values()))
    )


def _are_excesses(value: object) -> bool:
    return type(value) is dict and all(map(_is_text, value)) and all(
        map(_is_finite, value.values())
    )  # fmt: skip


def _is_json(value: object) -> bool:
    if type(value) is dict:
        return all(map(_is_text, value)) and all(map(_is_json, value.values()))
    return all(map(_is_json, value)) if type(value) is list else value is None or _is_scalar(value)


def _is_config(value: object) -> bool:
    return type(value) is dict and _is_json(value) and all(
        isinstance(value.get(section, {}), dict) for section in _SECTIONS
    )  # fmt: skip


def _has_budget(value: object) -> bool:
    """Return whether the value is a study's configuration whose budget can be read."""
    if not _is_config(value):
        return False
    try:
        stored_budget(value)  # type: ignore[arg-type]
    except BadInput:
        return True  # the limit may belong to a plugin that is not installed here
    except ValueError:
        return False
    return True


def _is_place(address: object) -> bool:
    return _is_text(address) and str(address)[:1] not in ("", "~")


def _is_inside(path: object) -> bool:
    """Return whether the path is within the artifacts folder."""
    if not isinstance(path, str) or not _is_text(path):
        return False
    parts = path.split("/")
    return parts[0] != "" and ".." not in parts


def _is_name(name: object) -> bool:
    return _is_text(name) and name != ""


def _one_of(names: type[StudyState] | type[TrialState] | type[TrialKind]) -> ColumnRule:
    values = tuple(name.value for name in names)
    return ColumnRule(f"one of {', '.join(values)}", frozenset(values).__contains__)


_TEXT = ColumnRule("text in UTF-8, without NUL", _is_text)
_COUNT = ColumnRule("a whole number, 0 or above", _is_count)
_COST = ColumnRule("a JSON object of finite numbers, 0 or above", _is_cost)
_QUALITY = ColumnRule("a JSON object of metrics, each with a value and an error", _is_quality)
_MEASURE = ColumnRule(f"a number from 0 to {_MOST:g}", _is_measure)
_FLAT = ColumnRule("a JSON object of texts, finite numbers and booleans", _is_flat)
_BY_TYPE: tuple[tuple[type[Any], ColumnRule], ...] = (
    (Text, _TEXT),
    (UtcTime, ColumnRule(f"a time from {_YEARS[0]} to {_YEARS[-1]}", _is_time)),
    (Flag, ColumnRule("0 or 1", lambda value: type(value) is bool)),
    (JSON, _FLAT),
    (Float, ColumnRule("a finite number", _is_finite)),
    (BigInteger, ColumnRule("a whole number", _is_whole)),
    (Integer, ColumnRule("a whole number", _is_whole)),
)
_BY_NAME: Mapping[str, ColumnRule] = {
    **dict.fromkeys(("quality", "test"), _QUALITY),
    "cost": _COST,
    **dict.fromkeys(
        ("number", "parent", "repeats", "position", "epoch", "attempts", "beats", "pid", "channels",
         "image_size", "classes", "threads", "views", "final_views"),
        _COUNT,
    ),
    **dict.fromkeys(
        ("duration_s", "seconds", "elapsed_s", "finals_s", "learning_rate"),
        _MEASURE,
    ),
    **dict.fromkeys(
        ("violations", "floors"), ColumnRule("a JSON object of finite numbers", _are_excesses)
    ),
    "config": ColumnRule(
        f"a JSON object of finite values whose {', '.join(_SECTIONS)} are objects, and whose "
        "budget has limits such as 2MB and 5ms", _has_budget,
    ),
    "artifacts": ColumnRule("a folder or a URL, without ~ at its start", _is_place),
    "artifact_path": ColumnRule("a path inside the artifacts folder", _is_inside),
}  # fmt: skip
_OF_ONE_TABLE: Mapping[tuple[str, str], ColumnRule] = {
    ("studies", "state"): _one_of(StudyState),
    ("trials", "state"): _one_of(TrialState),
    ("trials", "kind"): _one_of(TrialKind),
    ("studies", "name"): ColumnRule("text that is not empty", _is_name),
}


def _rule(table: Table, column: Column[Any]) -> ColumnRule:
    if own := _OF_ONE_TABLE.get((table.name, column.name)):
        return own
    if column.name in _BY_NAME:
        return _BY_NAME[column.name]
    return next(rule for kind, rule in _BY_TYPE if isinstance(column.type, kind))


COLUMN_RULES: Mapping[str, tuple[tuple[str, ColumnRule, bool], ...]] = {
    table.name: tuple(
        (column.name, _rule(table, column), bool(column.nullable)) for column in table.columns
    )
    for table in TableRow.metadata.sorted_tables
}
"""The columns of each table: the name, the rule, and whether it may be NULL."""
