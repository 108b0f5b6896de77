"""What went wrong in the database, in words that say what to do, and hold no secret."""

import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)

from search.database.address import secrets_of

_POSTGRESQL_LOCK_TIMEOUT = "55P03"
_REMEDIES = {
    "SQLITE_NOTADB": "is not a SQLite database: name another file",
    "SQLITE_CORRUPT": "is damaged: put back a backup of it",
    "SQLITE_FULL": "can't grow, the disk is full: make room, then resume",
    # Of a folder too, and to readers too: they share the log that SQLite keeps beside the file.
    "SQLITE_READONLY": "can't be used without write access to its file and folder: get that",
    "SQLITE_CANTOPEN": "can't be opened: its folder must exist, and you must have access to both",
    "SQLITE_PERM": "can't be opened: you must have access to the file and its folder",
    "SQLITE_IOERR": "can't be read or written: look at the disk's health and free space",
}


def explain(error: SQLAlchemyError, url: URL, *, place: str, patience_s: float) -> str:
    """The message for a person; `place` is the store's URL as it may be shown."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    if _is_lock(origin):
        return (
            f"the store {place} stayed locked by another process for {patience_s:g} s: "
            "let that process end, then try again"
        )
    if isinstance(error, IntegrityError):
        return f"the store {place} refused what was written: {_first_line(origin, url)}"
    name = getattr(origin, "sqlite_errorname", "")
    for prefix, remedy in _REMEDIES.items():
        if name.startswith(prefix):
            return f"the store {place} {remedy}"
    return (
        f"the store {place} can't be used: {_first_line(origin or error, url)}; "
        "check that its database is there and running, and that you may use it"
    )


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether the same write may succeed later: it was sound, the database was not ready."""
    ours = (IntegrityError, DataError, ProgrammingError)
    return isinstance(error, DBAPIError) and not isinstance(error, ours)


def _is_lock(origin: BaseException | None) -> bool:
    if isinstance(origin, sqlite3.Error):
        # The lower byte is the error, the rest its variety, such as SQLITE_BUSY_SNAPSHOT.
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(origin, "sqlstate", None) == _POSTGRESQL_LOCK_TIMEOUT


def _first_line(error: BaseException | None, url: URL) -> str:
    line = str(error).strip().partition("\n")[0]
    for secret in secrets_of(url):
        line = line.replace(secret, "***")
    return line
