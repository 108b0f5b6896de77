"""A store's URL: its validation, and its text without secrets."""

import re
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from search.errors import StoreError
from search.files.paths import expanded

_EXAMPLES = "sqlite:///retort.db or postgresql+psycopg://user@host/database"
_HIDDEN = "***"
_SQLITE_FILE = re.compile(r"(sqlite(?:\+pysqlite)?:///)([^?]+)", re.DOTALL)


def safe_url(url: str) -> str:
    """Return the URL with its password and all values of its query masked.

    If the URL can't be parsed with certainty, for example since its password contains an unquoted
    `@`, everything but the scheme is masked.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _HIDDEN if re.search(r"[=@]", url) else url
    if url.startswith("sqlite:///") and "?" not in url:
        return url  # a path may contain an @
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return f"{scheme}://{_HIDDEN}"
    if url.count("@") > 1:
        return f"{scheme}://{_HIDDEN}"
    masked = re.sub(r"=[^&]*", f"={_HIDDEN}", url.partition("?")[2] if parsed.query else "")
    shown = parsed.set(query={}).render_as_string(hide_password=True)
    return f"{shown}?{masked}" if masked else shown


def without_secrets(value: object) -> object:
    """Return a JSON value with the secrets of all its URLs masked."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, str) and "://" in value:
        return safe_url(value)
    return value


def secrets_of(url: URL) -> list[str]:
    """Return the secrets in a URL, which no message may contain."""
    values = [value for values in url.normalized_query.values() for value in values]
    return [secret for secret in [url.password, *values] if secret]


def parse_address(url: str) -> URL:
    """Parse the URL of a store.

    Raises:
        StoreError: it is not a URL, is of another kind of database or of a database in memory, or
            names a home folder or a variable that does not exist.
    """
    try:
        url = expanded_store(url)
    except ValueError as error:
        raise StoreError(f"the store {safe_url(url)} {error}") from None
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: the parser's error may contain the password.
        raise StoreError(
            f"a store must be a URL such as {_EXAMPLES}, but got {safe_url(url)}"
        ) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        _check_sqlite(parsed, url)
        return parsed.set(drivername="sqlite", database=str(Path(parsed.database or "").absolute()))
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(
        f"a store must be in SQLite or PostgreSQL, such as {_EXAMPLES}, but got {safe_url(url)}"
    )


def expanded_store(url: str) -> str:
    """Return a store's URL; for a SQLite file, with its home folder and variables replaced.

    Raises:
        ValueError: as for `search.files.paths.expanded`.
    """
    match = _SQLITE_FILE.fullmatch(url)
    return url if match is None else f"{match[1]}{expanded(match[2])}"


def _check_sqlite(parsed: URL, url: str) -> None:
    if parsed.database in (None, "", ":memory:") or parsed.query or parsed.host:
        raise StoreError(
            "a SQLite store must be a file without options, such as sqlite:///retort.db, or with "
            f"four slashes for an absolute path, but got {safe_url(url)}"
        )
