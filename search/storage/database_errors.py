"""Database errors in words that say what to do and contain no secret."""

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
    "25006": "may only be read: it is a standby, or default_transaction_read_only is on: name the "
    "primary, or turn that off",
    "53100": "can't grow, its server's disk is full: make room there, then resume",
    "53300": "has no connection left: end others, or raise max_connections",
    _POSTGRESQL_NO_RIGHT: "can't be written by this user: grant it all on the tables and sequences",
}
_REMEDIES = {
    "SQLITE_NOTADB": "is not a SQLite database: name another file",
    "SQLITE_CORRUPT": "is damaged: put back a backup of it",
    "SQLITE_FULL": "can't grow, the disk is full: make room, then resume",
    # This applies to a folder too, and to readers: they share the log that SQLite keeps beside the
    # file.
    "SQLITE_READONLY": "can't be used without write access to its file and folder: get that",
    "SQLITE_CANTOPEN": "can't be opened: its folder must exist, and you must have access to both",
    "SQLITE_PERM": "can't be opened: you must have access to the file and its folder",
    "SQLITE_IOERR": "can't be read or written: look at the disk's health and free space",
}


def explain(error: SQLAlchemyError, url: URL, *, place: str, patience_s: float) -> str:
    """Return the message for a person; `place` is the store's URL without secrets."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    if _is_lock(origin):
        return (
            f"the store {place} stayed locked by another process for {patience_s:g} s: "
            "let that process end, then try again"
        )
    if isinstance(error, IntegrityError):
        return f"the store {place} refused what was written: {_first_line(origin, url)}"
    if remedy := _SQLSTATES.get(_sqlstate(origin)):
        return f"the store {place} {remedy}"
    name = getattr(origin, "sqlite_errorname", "")
    for prefix, remedy in _REMEDIES.items():
        if name.startswith(prefix):
            return f"the store {place} {remedy}"
    return (
        f"the store {place} can't be used: {_first_line(origin or error, url)}; "
        "check that its database is there and running, and that you may use it"
    )


def may_pass(error: SQLAlchemyError) -> bool:
    """Return whether the same write may succeed later: it was valid, the database was not ready."""
    if not isinstance(error, DBAPIError):
        return False
    # A right that was revoked may be granted again.
    lacks_right = _sqlstate(error.orig) == _POSTGRESQL_NO_RIGHT
    return lacks_right or not isinstance(error, (IntegrityError, DataError, ProgrammingError))


def _is_lock(origin: BaseException | None) -> bool:
    if isinstance(origin, sqlite3.Error):
        # The lower byte is the error, the rest its variant, such as SQLITE_BUSY_SNAPSHOT.
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return _sqlstate(origin) == _POSTGRESQL_LOCK_TIMEOUT


def _sqlstate(origin: BaseException | None) -> str:
    """Return PostgreSQL's code; for a refused connection psycopg has only the server's message."""
    if origin is not None and re.search(r"too many clients|connection slots", str(origin)):
        return "53300"
    return getattr(origin, "sqlstate", None) or ""


def _first_line(error: BaseException | None, url: URL) -> str:
    line = str(error).strip().partition("\n")[0]
    for secret in secrets_of(url):
        line = line.replace(secret, "***")
    return line
