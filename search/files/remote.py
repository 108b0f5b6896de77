"""Files at a URL, with fsspec. A folder's SHA256SUMS is uploaded last and removed first."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from search.errors import ArtifactError
from search.files.atomic import (
    CHECKSUMS,
    MOST_LIST_BYTES,
    file_digest,
    is_inside,
    listed_digests,
)


def content(files: Any, path: str) -> bytes | None:
    """Return the content of a small file; None if the file does not exist.

    Raises:
        ArtifactError: it has more than `MOST_LIST_BYTES` bytes.
    """
    try:
        content: bytes = files.cat_file(path, start=0, end=MOST_LIST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_LIST_BYTES:
        raise ArtifactError(f"{path} must have {MOST_LIST_BYTES:,} bytes or fewer, but has more")
    return content


def put(files: Any, folder: Path, root: str) -> None:
    """Upload a complete folder: remove an earlier one first, upload its SHA256SUMS last."""
    remove(files, root)
    for name in [*listed_digests((folder / CHECKSUMS).read_bytes()), CHECKSUMS]:
        path = f"{root}/{name}"
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.put_file(str(folder / name), path)


def put_file(files: Any, path: str, content: bytes) -> None:
    """Write a file with this content."""
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, content)


def get(files: Any, root: str, folder: Path, listed: bytes) -> list[str]:
    """Download the listed files into `folder`; return the names of missing and damaged ones."""
    damaged = []
    for name, digest in listed_digests(listed).items():
        path = folder / name
        if not is_inside(name):  # the list may be of unknown origin
            damaged.append(repr(name))
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            files.get_file(f"{root}/{name}", str(path))
        except FileNotFoundError:
            damaged.append(name)
            continue
        if file_digest(path) != digest:
            damaged.append(name)
    return damaged


def names(files: Any, root: str) -> set[str]:
    """Return the names in a folder; an empty set if the folder does not exist."""
    try:
        paths = files.ls(root, detail=False)
    except FileNotFoundError:
        return set()
    return {path.rstrip("/").rpartition("/")[2] for path in paths} - {""}


def remove(files: Any, path: str) -> None:
    """Remove a folder or a file, if it exists."""
    # A folder without SHA256SUMS counts as absent, even if the removal of the rest fails.
    with suppress(FileNotFoundError, NotADirectoryError):
        files.rm_file(f"{path}/{CHECKSUMS}")
    with suppress(FileNotFoundError):
        files.rm(path, recursive=True)
