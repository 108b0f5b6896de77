"""The schema of a database, and its upgrade to the schema of this version."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from search.errors import StoreError
from search.storage.backup import back_up, backup_path
from search.storage.connection import Database
from search.storage.migrate import migrate
from search.storage.tables import SCHEMA, VERSION_TABLE

# An arbitrary number, for a lock: two processes must not create the tables at the same time.
_UPGRADE_LOCK = 0x7E7081


def check_schema(database: Database) -> None:
    """Check that a database has the schema of this version.

    Raises:
        StoreError: it is missing, is empty, belongs to another program, or has another version.
    """
    if not _is_there(database):
        raise StoreError(
            f"there is no store at {database.place}: start a search with `retort run`, or name "
            "another store"
        )
    with database.reading() as session:
        revision = _revision(session.connection(), database.place)
    if revision is None:
        raise StoreError(
            f"the store {database.place} is empty: start a search with `retort run`, or name "
            "another store"
        )
    if revision < SCHEMA:
        raise StoreError(
            f"the store {database.place} has schema {revision}, but this retort reads {SCHEMA}: "
            "upgrade it, with any command that writes to it, such as `retort run`"
        )


def check_ownership(database: Database) -> None:
    """Check that a database, if it exists, belongs to retort and is not of a newer version.

    The check uses a read-only connection, since opening a SQLite file for writing changes it.

    Raises:
        StoreError: it belongs to another program, or a newer retort wrote it.
    """
    if _is_there(database):
        with database.reading() as session:
            _revision(session.connection(), database.place)


def upgrade_schema(database: Database) -> Path | None:
    """Create or upgrade the tables in one transaction.

    Returns:
        The path of the backup that an upgrade makes first; None without an upgrade.

    Raises:
        StoreError: the database belongs to another program, or a newer retort wrote it.
    """
    backup = None
    if (known := revision_of(database)) is not None and known != SCHEMA:
        backup = back_up(database, backup_path(database, known), revision=known)
    with database.writing() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        if _revision(connection, database.place) != SCHEMA:
            migrate(connection, SCHEMA)
    return backup


def revision_of(database: Database) -> str | None:
    """Return the schema's revision; None for a database without tables."""
    with database.reading() as session:
        return _revision(session.connection(), database.place)


def _is_there(database: Database) -> bool:
    if database.url.drivername != "sqlite":
        return True
    return Path(database.url.database or "").exists()


def _revision(connection: Connection, place: str) -> str | None:
    """Return the schema's revision; None for a database without tables."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if VERSION_TABLE not in tables:
        raise StoreError(
            f"{place} must be retort's own database, but contains another program's tables, such "
            f"as {min(tables)}: name another database"
        )
    revision = _only_revision(connection, place)
    if revision > SCHEMA:
        raise StoreError(
            f"the store {place} has schema {revision}, but this retort reads only schemas up to "
            f"{SCHEMA}: upgrade retort"
        )
    return revision


def _only_revision(connection: Connection, place: str) -> str:
    rows = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all()  # noqa: S608
    if len(rows) != 1 or not isinstance(rows[0], str) or not rows[0]:
        found = ", ".join(map(repr, rows)) or "none"
        raise StoreError(
            f"the store {place} is damaged: its table {VERSION_TABLE} must contain one row, whose "
            f"version_num is a revision such as {SCHEMA}, but contains {found}: correct it, or "
            "restore a backup"
        )
    return rows[0]
