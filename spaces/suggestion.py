"""What to say of a name that is not known. Only the standard library, for the agent."""

import difflib
from collections.abc import Collection


def suggestion(given: str, known: Collection[str]) -> str:
    """Return `; did you mean 'resnet18'?`, or nothing if no known name is similar."""
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def expected(kind: str, given: str, known: Collection[str]) -> str:
    """Return that a `kind` must be one of the known names, what was given, and a suggestion."""
    names = ", ".join(known)
    return f"{kind} must be one of {names}, but got {given!r}{suggestion(given, known)}"
