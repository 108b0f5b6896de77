"""Messages for database errors, with advice and without secrets."""

import re
import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)

from search.storage.store_url import secrets_of

_POSTGRESQL_LOCK_TIMEOUT = "55P03"
_POSTGRESQL_NO_RIGHT = "42501"
_SQLSTATES = {
    "25006": "is read-only: it is a standby, or default_transaction_read_only is on: name the "
    "primary, or turn that setting off",
    "53100": "can't grow, since its server's disk is full: make room there, then resume",
    "53300": "has no connection left: close others, or raise max_connections",
    _POSTGRESQL_NO_RIGHT: "can't be written by this user: grant all rights on its tables and "
    "sequences",
}
_REMEDIES = {
    "SQLITE_NOTADB": "is not a SQLite database: name another file",
    "SQLITE_CORRUPT": "is damaged: restore a backup",
    "SQLITE_FULL": "can't grow, since the disk is full: make room, then resume",
    # SQLite raises this for the folder too, and for readers: they share a log file in the folder.
    "SQLITE_READONLY": "can't be used without write access to its file and folder: change their "
    "permissions",
    "SQLITE_CANTOPEN": "can't be opened: its folder must exist, and you must have access to the "
    "file and the folder",
    "SQLITE_PERM": "can't be opened: you must have access to the file and its folder",
    "SQLITE_IOERR": "can't be read or written: check the disk's health and free space",
}


def explain(error: SQLAlchemyError, url: URL, *, place: str, patience_s: float) -> str:
    """Return a message for an error of the database; `place` is its URL without secrets."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    if _is_lock(origin):
        return (
            f"the store {place} stayed locked by another process for {patience_s:g} s: "
            "let that process end, then try again"
        )
    if isinstance(error, IntegrityError):
        return f"the store {place} refused a write: {_first_line(origin, url)}"
    if remedy := _SQLSTATES.get(_sqlstate(origin)):
        return f"the store {place} {remedy}"
    name = getattr(origin, "sqlite_errorname", "")
    for prefix, remedy in _REMEDIES.items():
        if name.startswith(prefix):
            return f"the store {place} {remedy}"
    return (
        f"the store {place} can't be used: {_first_line(origin or error, url)}; "
        "check that its database exists and is running, and that you have access to it"
    )


def may_pass(error: SQLAlchemyError) -> bool:
    """Return whether the same write may succeed later, since the write itself was valid."""
    if not isinstance(error, DBAPIError):
        return False
    # A revoked right may be granted again.
    lacks_right = _sqlstate(error.orig) == _POSTGRESQL_NO_RIGHT
    return lacks_right or not isinstance(error, (IntegrityError, DataError, ProgrammingError))


def _is_lock(origin: BaseException | None) -> bool:
    if isinstance(origin, sqlite3.Error):
        # The lower byte is the error; the others are its variant, such as SQLITE_BUSY_SNAPSHOT.
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return _sqlstate(origin) == _POSTGRESQL_LOCK_TIMEOUT


def _sqlstate(origin: BaseException | None) -> str:
    """Return PostgreSQL's code.

    For a refused connection, psycopg has no code, so it is derived from the server's message.
    """
    if origin is not None and re.search(r"too many clients|connection slots", str(origin)):
        return "53300"
    return getattr(origin, "sqlstate", None) or ""


def _first_line(error: BaseException | None, url: URL) -> str:
    line = str(error).strip().partition("\n")[0]
    for secret in secrets_of(url):
        line = line.replace(secret, "***")
    return line
