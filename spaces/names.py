"""Names of the entries of tables. Only the standard library, for the agent."""

import difflib
import re
from collections.abc import Collection

_STORED_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_stored_name(kind: str, name: str) -> None:
    """Raise ValueError unless the name of a `kind` can be a key of study files and stores."""
    if not _STORED_NAME.fullmatch(name):
        raise ValueError(
            f"the name of a {kind} must be small letters, digits and underscores, "
            f"and begin with a letter, but got {name!r}"
        )


def suggestion(given: str, known: Collection[str]) -> str:
    """Return `; did you mean 'resnet18'?`, or nothing if no known name is similar."""
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def expected(kind: str, given: str, known: Collection[str]) -> str:
    """Return that a `kind` must be one of the known names, what was given, and a suggestion."""
    names = ", ".join(known)
    return f"{kind} must be one of {names}, but got {given!r}{suggestion(given, known)}"
