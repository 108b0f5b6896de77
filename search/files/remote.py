"""Files at a URL, by fsspec: a folder's list of files comes last and goes first."""

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
    """What a small file holds; None where there is none.

    Raises:
        ArtifactError: it is larger than a list of files may be.
    """
    try:
        content: bytes = files.cat_file(path, start=0, end=MOST_LIST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_LIST_BYTES:
        raise ArtifactError(f"{path} must have {MOST_LIST_BYTES:,} bytes or fewer, but has more")
    return content


def put(files: Any, folder: Path, root: str) -> None:
    """Puts a folder that is whole here: what was there before goes first, its list comes last."""
    remove(files, root)
    for name in [*listed_digests((folder / CHECKSUMS).read_bytes()), CHECKSUMS]:
        path = f"{root}/{name}"
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.put_file(str(folder / name), path)


def put_file(files: Any, path: str, content: bytes) -> None:
    """Gives a file this content."""
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, content)


def get(files: Any, root: str, folder: Path, listed: bytes) -> list[str]:
    """Copies what is listed into `folder`; gives the names of what is not as it was written."""
    damaged = []
    for name, digest in listed_digests(listed).items():
        path = folder / name
        if not is_inside(name):  # what is at a URL may be anybody's
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
    """What a folder holds; nothing where there is none."""
    try:
        paths = files.ls(root, detail=False)
    except FileNotFoundError:
        return set()
    return {path.rstrip("/").rpartition("/")[2] for path in paths} - {""}


def remove(files: Any, path: str) -> None:
    """Removes a folder or a file, if it is there."""
    # Without its list a folder is not there, however far the rest comes.
    with suppress(FileNotFoundError, NotADirectoryError):
        files.rm_file(f"{path}/{CHECKSUMS}")
    with suppress(FileNotFoundError):
        files.rm(path, recursive=True)
