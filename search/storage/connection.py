"""An open database, with the same interface for SQLite and PostgreSQL."""

import json
import os
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from search.errors import DamagedRow, StoreError, StoreUnavailable
from search.storage.columns import read_json, read_text
from search.storage.database_errors import explain, may_pass
from search.storage.soundness import Unsound
from search.storage.store_url import parse_address, safe_url

_WRITES = "retort_writes"


class Database:
    """An open database. `place` is its URL without secrets."""

    def __init__(self, url: str, *, read_only: bool, patience_s: float) -> None:
        self.url = parse_address(url)
        self.place = safe_url(url)
        self.read_only = read_only
        self.patience_s = patience_s
        if self.url.drivername == "sqlite":
            self._engine = _sqlite(self.url, read_only=read_only, patience_s=patience_s)
            self._reader = self._engine
        else:
            self._engine = _postgresql(self.url, self.place, patience_s=patience_s)
            # One snapshot for all queries of a transaction; SQLite has this by default.
            self._reader = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @property
    def file(self) -> Path | None:
        """The database's file; None for a server's database."""
        sqlite_file = self.url.drivername == "sqlite"
        return Path(self.url.database or "") if sqlite_file else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that sees one state of the store, without later writes of others."""
        with self._naming_faults(), Session(self._reader) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a transaction that commits at the end of the block, or rolls back after an error."""
        if self.read_only:
            raise StoreError(
                f"the store {self.place} must be opened for writing, but was opened read-only"
            )
        with self._naming_faults(), Session(self._writer) as session, session.begin():
            yield session

    def named(self, unsound: Unsound) -> DamagedRow:
        """Return the error to raise for a damaged row of this store."""
        damage = unsound.damage
        option = f" --store {shlex.quote(f'sqlite:///{self.file}')}" if self.file else ""
        return DamagedRow(
            f"the study {damage.study} is damaged in {self.place}: {damage}; "
            f"list all such rows with `retort db check{option}`, then correct them or restore a "
            "backup",
            study=damage.study,
        )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _naming_faults(self) -> Iterator[None]:
        try:
            yield
        except Unsound as unsound:
            raise self.named(unsound) from None
        except SQLAlchemyError as error:
            message = explain(error, self.url, place=self.place, patience_s=self.patience_s)
            raise (StoreUnavailable if may_pass(error) else StoreError)(message) from error


def _sqlite(url: URL, *, read_only: bool, patience_s: float) -> Engine:
    file = Path(url.database or "")
    path = f"file:{quote(str(file))}?mode={'ro' if read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        is_immutable = read_only and _is_immutable(file)
        # isolation_level=None: otherwise the module begins deferred transactions itself, and these
        # fail if two of them write.
        connection = sqlite3.connect(
            f"{path}&immutable=1" if is_immutable else path,
            uri=True,
            timeout=patience_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection, read_only=read_only, patience_s=patience_s)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    # Without a pool, each transaction checks again whether the file is immutable.
    pool = NullPool if read_only and not os.access(file.parent, os.W_OK) else None
    engine = create_engine(
        url, creator=connect, poolclass=pool, json_deserializer=read_json, **_COMMON
    )
    event.listen(engine, "begin", _begin)
    return engine


def _is_immutable(file: Path) -> bool:
    """Return whether no process writes to the file: its folder is read-only, and its log is empty.

    Readers can't open such a file normally: SQLite would have to create the log that readers share
    with writers.
    """
    log = file.with_name(f"{file.name}-wal")
    return not os.access(file.parent, os.W_OK) and not (log.exists() and log.stat().st_size)


def _prepare(connection: sqlite3.Connection, *, read_only: bool, patience_s: float) -> None:
    connection.text_factory = read_text
    connection.execute("PRAGMA foreign_keys = ON")
    if not read_only:
        _write_ahead(connection, patience_s=patience_s)
        connection.execute("PRAGMA synchronous = FULL")


def _write_ahead(connection: sqlite3.Connection, *, patience_s: float) -> None:
    """Set SQLite's write-ahead log. The file stores this setting, so it is changed only once.

    If several processes change the setting at the same time, SQLite can refuse at once instead of
    waiting, to avoid a deadlock. So this function retries.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.05)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL, place: str, *, patience_s: float) -> Engine:
    try:
        engine = create_engine(
            url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, **_COMMON
        )
    except ImportError:
        raise StoreError(
            f"the store {place} needs psycopg, which is not installed: "
            "pip install -e '.[postgresql]'"
        ) from None

    @event.listens_for(engine, "connect")
    def set_lock_timeout(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(patience_s * 1000)}")
        connection.commit()

    return engine


# Hide parameters in error messages: they include a study's configuration.
_COMMON: dict[str, Any] = {
    "hide_parameters": True,
    "json_serializer": partial(json.dumps, allow_nan=False),
}
