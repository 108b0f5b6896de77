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

from search.files.disk import naming_disk
from search.files.reading import DamagedFile, read_limited

CHECKSUMS = "SHA256SUMS"
# Enough for a hundred thousand files; a folder of this project contains ten.
MOST_LIST_BYTES = 2**24
_LONGEST_NAME, _LONGEST_PATH = 255, 1024  # a file system's limits, in bytes and letters


@contextmanager
def written_whole(
    destination: Path, *, durable: bool = True, sealed: Callable[[Path], None] = lambda whole: None
) -> Iterator[Path]:
    """Give a temporary folder that becomes `destination` when the block ends without an error.

    SHA256SUMS lists every file in it, in the form that `sha256sum --check` reads. A folder that was
    at `destination` is replaced, unless it is complete and has the same contents.

    Args:
        destination: the folder.
        durable: wait until the disk has it. Files that can be computed again don't need this: their
            checksums show whether a power cut has damaged them.
        sealed: receives the complete folder, as the last step before others see it; an error that
            it raises keeps the folder from them.

    Raises:
        DiskError: there is no room for it, or its parent can't be written.
    """
    temporary = destination.parent / f".{destination.name}.{uuid.uuid4().hex}.tmp"
    with naming_disk(destination.parent):
        temporary.mkdir(parents=True)
    held = os.open(temporary, os.O_RDONLY)
    try_to_hold(held)
    try:
        with naming_disk(destination.parent):  # exits before the clean-up, which makes room
            yield temporary
            _write_checksums(temporary)
            if durable:
                for path in [*temporary.rglob("*"), temporary]:
                    _sync(path)
            sealed(temporary)
            _replace(temporary, destination)
            if durable:
                _sync(destination.parent)
    finally:
        os.close(held)
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def file_written_whole(destination: Path) -> Iterator[Path]:
    """Give a temporary file that becomes `destination` when the block ends without an error.

    A destination that is not a regular file, such as /dev/stdout, is written directly.

    Raises:
        DiskError: there is no room for it, or its folder can't be written.
    """
    destination = destination.resolve()
    if destination.exists() and not destination.is_file():
        yield destination
        return
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.tmp")
    try:
        with naming_disk(destination.parent):  # exits before the clean-up, which makes room
            yield temporary
            temporary.replace(destination)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file's content, at once or not at all; the disk has it on return.

    Raises:
        DiskError: as `file_written_whole`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


@contextmanager
def alone(lock: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time into the block; a process that dies leaves it.

    Where a lock is impossible, as in a read-only folder, no process waits.

    Args:
        lock: a file that stays; created if it is missing.
        waiting: called once, if another process is in the block.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        if not try_to_hold(descriptor):
            waiting()
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_abandoned(destination: Path) -> None:
    """Remove what killed writers of `destination` have left beside it."""
    hidden = f".{glob.escape(destination.name)}.{'[0-9a-f]' * 32}"
    for pattern in (f"{hidden}.tmp", f"{hidden}.old"):
        for leftover in destination.parent.glob(pattern):
            with suppress(OSError):  # the file is gone by now
                held = os.open(leftover, os.O_RDONLY)
                if try_to_hold(held):
                    shutil.rmtree(leftover)
                os.close(held)


def damaged_files(folder: Path) -> list[str]:
    """Return, for a person, the files that differ from SHA256SUMS or that it does not list.

    An unlisted file means that the list was cut short; a missing list is itself damaged. Only
    regular files in the folder are opened: a list of unknown origin can name any file of this
    machine, and so can a link.

    Raises:
        OSError: the folder can't be read.
    """
    sums = folder / CHECKSUMS
    if sums.is_symlink() or not sums.is_file():
        return [CHECKSUMS]
    try:
        expected = listed_digests(read_limited(sums, MOST_LIST_BYTES))
    except DamagedFile as error:
        return [f"{CHECKSUMS} ({error})"]
    unlisted = [name for name in _entries(folder) if name not in expected and name != CHECKSUMS]
    faults = [_fault(folder, name, expected[name]) for name in expected]
    return sorted([fault for fault in faults if fault] + unlisted)


def listed_digests(sums: bytes) -> dict[str, str]:
    """Return, by name, the digest of each file that a SHA256SUMS with this content lists."""
    lines = [line.partition("  ") for line in sums.decode(errors="replace").splitlines()]
    return {name: digest for digest, _, name in lines}


def is_inside(name: str) -> bool:
    """Return whether a listed name is a plain name of a file in the list's own folder."""
    return (
        name.isprintable()
        and len(name) <= _LONGEST_PATH
        and not {"\\", "\N{REPLACEMENT CHARACTER}"} & set(name)
        and all(
            part not in ("", ".", "..") and len(part.encode()) <= _LONGEST_NAME
            for part in name.split("/")
        )
    )


def file_digest(path: Path) -> str:
    """Return the hexadecimal SHA-256 of the file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(folder: Path, name: str, digest: str) -> str | None:
    """Return a name for the fault of a listed file; None for a file that is as listed."""
    if not is_inside(name):
        return f"{name!r} (no name of a file in the folder)"
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            return f"{name} (a link, where a file must be)"
    return None if path.is_file() and file_digest(path) == digest else name


def try_to_hold(descriptor: int) -> bool:
    """Lock an open file until it is closed or its process ends; return False if it is locked.

    It also returns False on a file system without such locks for folders: nothing is ever removed
    there.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write_checksums(folder: Path) -> None:
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in _names(folder)]
    (folder / CHECKSUMS).write_text("".join(lines))


def _entries(folder: Path) -> list[str]:
    """Return the files, links and pipes in the folder, without its subfolders."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return [name if name.isprintable() else repr(name) for name in names]


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
        # Another process wrote the same first, and may be reading it.
        if _are_same(temporary, destination):
            break
        # A folder can't be renamed onto one that contains files, so that one is moved aside first.
        # Another process that writes the same folder may move it, or put its own there, in between.
        with suppress(FileNotFoundError):
            destination.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _are_same(one: Path, other: Path) -> bool:
    """Return whether `other` is complete, and lists the same contents as `one`."""
    try:
        same = (one / CHECKSUMS).read_bytes() == (other / CHECKSUMS).read_bytes()
        return same and not damaged_files(other)
    except OSError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
