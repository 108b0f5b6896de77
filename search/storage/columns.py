"""Column types whose values can always be fetched, whatever an edit by hand has put into a row.

What is no value of its column is fetched as `Unreadable`; `search.storage.soundness` names it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, DateTime, Dialect, TypeDecorator


@dataclass(frozen=True)
class Unreadable:
    """What stands in a column and can't be read as a value of its type."""

    raw: object


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time, in UTC. SQLite has no time zones, so they are taken off and put on."""

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
    """True or false; SQLAlchemy's own type takes every other value for true."""

    impl = Boolean
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        def read(raw: object) -> object:
            if raw is None:
                return None
            return bool(raw) if raw in (0, 1) else Unreadable(raw)

        return read


def read_json(raw: object) -> object:
    """What SQLite's JSON text says; there a column can hold anything."""
    if not isinstance(raw, str):
        return Unreadable(raw)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Unreadable(raw)


def read_text(raw: bytes) -> str:
    """SQLite's text; what is no UTF-8 becomes lone surrogates, as Python's file names do."""
    return raw.decode("utf-8", "surrogateescape")
