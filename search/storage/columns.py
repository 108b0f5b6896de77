"""Column types whose values can always be fetched, whatever an edit by hand has put into a row.

A value that its column does not allow is fetched as `Unreadable`; `search.storage.soundness`
reports it.
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
    """A timezone-aware time, in UTC. SQLite has no time zones: they are removed and added here."""

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
    """A truth value; SQLAlchemy's own type reads every other value as true."""

    impl = Boolean
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        def read(raw: object) -> object:
            if raw is None:
                return None
            return bool(raw) if raw in (0, 1) else Unreadable(raw)

        return read


def read_json(raw: object) -> object:
    """Read SQLite's JSON text, where a column can contain anything."""
    if not isinstance(raw, str):
        return Unreadable(raw)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Unreadable(raw)


def read_text(raw: bytes) -> str:
    """Decode SQLite's text; bytes that are not UTF-8 become lone surrogates, as in file names."""
    return raw.decode("utf-8", "surrogateescape")
