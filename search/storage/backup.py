"""A copy of a store, made before an irreversible change. A backup is a store too."""

import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, MetaData, create_engine, insert, select, text

from search.errors import StoreError
from search.storage.connection import Database
from search.storage.migrate import migrate
from search.storage.tables import VERSION_TABLE

_ROWS_AT_A_TIME = 1000


def backup_path(database: Database, revision: str) -> Path:
    """Return a backup's path: in the folder of the file, or in the current folder for a server."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{time.monotonic_ns() % 10**6:06d}"
    file = database.file or Path.cwd() / f"{database.url.database}.db"
    return file.with_name(f"{file.stem}.schema-{revision}.{stamp}.bak{file.suffix}")


def back_up(database: Database, destination: Path, *, revision: str) -> Path:
    """Copy the whole database into a SQLite file of the same schema, and return its path.

    Args:
        database: open, at least for reading.
        destination: a file that does not exist yet.
        revision: the database's schema.

    Raises:
        StoreError: the file exists, or can't be written.
    """
    if destination.exists():
        raise StoreError(f"{destination} exists already: name another file for the backup")
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    try:
        if database.file is not None:
            with database.reading() as session:
                raw = session.connection().connection
                raw.commit()  # VACUUM INTO can't run within a transaction
                raw.execute("VACUUM INTO ?", (str(temporary),))
        else:
            _copy_rows(database, temporary, revision=revision)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(destination)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the backup {destination} can't be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return destination


def _copy_rows(database: Database, path: Path, *, revision: str) -> None:
    """Copy a database of another kind row by row; both have the same migrations."""
    engine = create_engine(f"sqlite:///{path}")
    try:
        with database.reading() as session, engine.begin() as copy:
            migrate(copy, revision)
            source, target = MetaData(), MetaData()
            source.reflect(session.connection())
            target.reflect(copy)
            for table in target.sorted_tables:
                if table.name != VERSION_TABLE:
                    _copy_table(session.connection(), copy, source, target, table.name)
    finally:
        engine.dispose()


def _copy_table(
    connection: Connection, copy: Connection, source: MetaData, target: MetaData, name: str
) -> None:
    for rows in (
        connection.execute(select(source.tables[name])).mappings().partitions(_ROWS_AT_A_TIME)
    ):
        copy.execute(
            insert(target.tables[name]),
            [{key: _plain(value) for key, value in row.items()} for row in rows],
        )


def _plain(value: object) -> object:
    # SQLite stores no time zone: all times in a store are in UTC.
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def sqlite_problems(database: Database) -> list[str]:
    """Return the problems that SQLite's own checks find in its file."""
    if database.file is None:
        return []
    with database.reading() as session:
        found = session.execute(text("PRAGMA integrity_check")).scalars().all()
        orphans = session.execute(text("PRAGMA foreign_key_check")).all()
    problems = [f"the file is damaged: {line}" for line in found if line != "ok"]
    return problems + [
        f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in orphans
    ]
