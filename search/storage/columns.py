"""Column types that return `Unreadable` for an invalid value instead of raising an error.

Manual edits can put any value into a row. `search.storage.soundness` reports such values.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, DateTime, Dialect, TypeDecorator


@dataclass(frozen=True)
class Unreadable:
    """A stored value that can't be read as a value of its column's type."""

    raw: object


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time, in UTC. SQLite stores no time zone, so this type adds it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,
    ) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"times must have a time zone, but got {value!r}")
        return value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        parse = super().result_processor(dialect, coltype)
        assert parse is not None

        def read(raw: object) -> object:
            try:
                return parse(raw)
            except (TypeError, ValueError, OverflowError):
                return Unreadable(raw)

        return read


class Flag(TypeDecorator[bool]):
    """A boolean; SQLAlchemy's own type returns True for any other value."""

    impl = Boolean
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        def read(raw: object) -> object:
            if raw is None:
                return None
            return bool(raw) if raw in (0, 1) else Unreadable(raw)

        return read


def read_json(raw: object) -> object:
    """Parse SQLite's JSON text; any other value becomes `Unreadable`."""
    if not isinstance(raw, str):
        return Unreadable(raw)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Unreadable(raw)


def read_text(raw: bytes) -> str:
    """Decode SQLite's text; bytes that are not UTF-8 become lone surrogates, as in file names."""
    return raw.decode("utf-8", "surrogateescape")
