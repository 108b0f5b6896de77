"""What computes, by version and content: what other code came to is not what this one would."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

_SEARCH = Path(__file__).parent
# Our own files that decide what a network is shown of an image.
SHOWS = tuple(
    f"data/{name}.py" for name in ("dataset", "images", "joined", "parts", "pictures", "views")
)

_LIBRARIES = ("torch", "timm", "torch-pruning")


@cache
def computed_by(*names: str) -> Mapping[str, str]:
    """Libraries by version, and as `retort` the digest of spaces/ and of these files of search/.

    Whoever works on a method of theirs must not be given what it came to before.
    """
    spaces = sorted((_SEARCH.parent / "spaces").rglob("*.py"))
    content = _digest([*(_SEARCH / name for name in names), *spaces])
    return {"retort": content, **{library: version(library) for library in _LIBRARIES}}


@cache
def content_of(*names: str) -> str:
    """The digest of these files of search/ alone."""
    return _digest([_SEARCH / name for name in names])


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
