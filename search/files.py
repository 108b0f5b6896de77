"""Files that are written whole or not at all, and their checksums."""

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKSUMS = "SHA256SUMS"


@contextmanager
def written_whole(
    destination: Path, *, durable: bool = True, sealed: Callable[[Path], None] = lambda whole: None
) -> Iterator[Path]:
    """A temporary folder that becomes `destination` once the block has ended without an error.

    Every file in it is listed in SHA256SUMS, in the form that `sha256sum --check` reads. A folder
    that stood at `destination` is replaced, unless it is whole and holds the same.

    Args:
        destination: the folder.
        durable: wait until the disk has it; what can be computed again need not, as its checksums
            tell whether a power cut has damaged it.
        sealed: is given the folder once it is whole, before anybody else sees it.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.parent / f".{destination.name}.{uuid.uuid4().hex}.tmp"
    temporary.mkdir()
    held = os.open(temporary, os.O_RDONLY)
    _try_to_hold(held)
    try:
        yield temporary
        _write_checksums(temporary)
        sealed(temporary)
        if durable:
            for path in [*temporary.rglob("*"), temporary]:
                _sync(path)
        _replace(temporary, destination)
        if durable:
            _sync(destination.parent)
    finally:
        os.close(held)
        shutil.rmtree(temporary, ignore_errors=True)


def remove_abandoned(destination: Path) -> None:
    """Removes what writers of `destination` that were killed have left beside it."""
    hidden = f".{glob.escape(destination.name)}.*"
    for pattern in (f"{hidden}.tmp", f"{hidden}.old"):
        for leftover in destination.parent.glob(pattern):
            with suppress(OSError):  # it is gone by now
                held = os.open(leftover, os.O_RDONLY)
                if _try_to_hold(held):
                    shutil.rmtree(leftover)
                os.close(held)


def damaged_files(folder: Path) -> list[str]:
    """The files that are not as SHA256SUMS says, or that it does not list.

    An unlisted file means that the list was cut short; a list that is missing is damaged itself.

    Raises:
        OSError: the folder can't be read.
    """
    sums = folder / CHECKSUMS
    if not sums.is_file():
        return [CHECKSUMS]
    expected = listed_digests(sums.read_bytes())
    unlisted = [name for name in _names(folder) if name not in expected and name != CHECKSUMS]
    changed = [name for name in expected if _digest_or_none(folder / name) != expected[name]]
    return sorted(changed + unlisted)


def listed_digests(sums: bytes) -> dict[str, str]:
    """The digest of each file that a SHA256SUMS with this content lists, by its name."""
    lines = [line.partition("  ") for line in sums.decode(errors="replace").splitlines()]
    return {name: digest for digest, _, name in lines}


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of the file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_or_none(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None


def _write_checksums(folder: Path) -> None:
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in _names(folder)]
    (folder / CHECKSUMS).write_text("".join(lines))


def _names(folder: Path) -> list[str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in files]


def _replace(temporary: Path, destination: Path) -> None:
    aside = temporary.with_suffix(".old")
    while True:
        try:
            temporary.rename(destination)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        # Whoever else wrote the same was sooner, and may be reading it.
        if _are_same(temporary, destination):
            break
        # A folder can't be renamed onto one that holds files: that one steps aside first. Whoever
        # else writes the same folder may move or put it there in between.
        with suppress(FileNotFoundError):
            destination.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _are_same(one: Path, other: Path) -> bool:
    """Whether `other` is whole, and lists the same contents as `one` does."""
    try:
        same = (one / CHECKSUMS).read_bytes() == (other / CHECKSUMS).read_bytes()
        return same and not damaged_files(other)
    except OSError:
        return False


def _try_to_hold(descriptor: int) -> bool:
    """Holds what is open until it is closed, or its process ends; not if another process does.

    Nor on a file system that has no such locks for folders: nothing is ever removed there.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
