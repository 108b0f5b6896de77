"""Replacement of home folders and environment variables in paths.

A shell replaces them too, but not within quotes, in a study file, or in a URL.
"""

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_FILE_URL = re.compile(r"(file|local):(//)?(.*)", re.DOTALL)


def expanded(path: str) -> str:
    """Return the path with `~`, `~user`, `$NAME` and `${NAME}` replaced.

    If a text can't be replaced, but the path exists as it is written, it is returned unchanged.

    Raises:
        ValueError: this machine has no home folder of that user, or a variable is not set. The
            message continues a sentence that starts with the name of the setting.
    """
    try:
        return _VARIABLE.sub(_value, _at_home(path))
    except LookupError as error:
        if os.path.lexists(path):
            return path
        raise ValueError(f"must be a path, but {path} {error.args[0]}") from None


def expanded_url(url: str) -> str:
    """Return a URL with its variables replaced; in a file URL, the home folder too.

    Raises:
        ValueError: as for `expanded`; or it is a file URL with a relative path.
    """
    match = _FILE_URL.fullmatch(url)
    if match is None:
        try:
            return _VARIABLE.sub(_value, url)
        except LookupError as error:
            raise ValueError(f"must be a URL, but it {error.args[0]}") from None
    path = expanded(match[3][1:] if match[3].startswith("/~") else match[3])
    if not path.startswith("/"):
        raise ValueError(
            f"must contain an absolute path, such as file:///home/you/folder, but contains "
            f"{path!r}: write a relative path without file:"
        )
    return f"{match[1]}://{path}"


def _at_home(path: str) -> str:
    if not path.startswith("~"):
        return path
    person, slash, rest = path.partition("/")
    try:
        home = Path(person).expanduser()
    except RuntimeError:
        raise LookupError("names a user without a home folder on this machine") from None
    return f"{home}{slash}{rest}"


def _value(match: re.Match[str]) -> str:
    name = match[1] or match[2]
    if name not in os.environ:
        raise LookupError(f"names the variable {name}, which is not set")
    return os.environ[name]
