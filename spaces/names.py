"""Checks and suggestions for names. The agent imports it, so it uses only the standard library."""

import difflib
import re
from collections.abc import Collection

_STORED_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_stored_name(kind: str, name: str) -> None:
    """Raise ValueError unless study files and stores can use `name` as a key for a `kind`."""
    if not _STORED_NAME.fullmatch(name):
        raise ValueError(
            f"the name of a {kind} must consist of lower-case letters, digits and underscores, "
            f"and begin with a letter, but got {name!r}: rename it"
        )


def suggestion(given: str, known: Collection[str]) -> str:
    """Return text such as `; did you mean 'resnet18'?`; empty if no known name is similar."""
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def expected(kind: str, given: str, known: Collection[str]) -> str:
    """Return an error message with the known names of a `kind`, the given one and a suggestion."""
    names = ", ".join(known)
    return f"{kind} must be one of {names}, but got {given!r}{suggestion(given, known)}"
