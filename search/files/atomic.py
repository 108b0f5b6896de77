"""Files that are written completely or not at all, and their checksums."""

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
# Enough for a hundred thousand files; a folder of retort contains about ten.
MOST_LIST_BYTES = 2**24
_LONGEST_NAME, _LONGEST_PATH = 255, 1024  # file system limits, in bytes and characters
_COMPILED = "__pycache__"


@contextmanager
def written_whole(
    destination: Path, *, durable: bool = True, sealed: Callable[[Path], None] = lambda whole: None
) -> Iterator[Path]:
    """Yield a temporary folder that becomes `destination` when the block ends without an error.

    SHA256SUMS lists every file in it, in the format that `sha256sum --check` reads. An existing
    folder is replaced, unless it is complete and has the same contents.

    Args:
        destination: the folder.
        durable: flush the folder to disk before the return. Files that can be computed again don't
            need this: their checksums show whether a power failure has damaged them.
        sealed: called with the complete folder, as the last step before it becomes visible. An
            exception that it raises cancels the write.

    Raises:
        DiskError: the disk has no room for it, or its parent is not writable.
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
    """Yield a temporary file that becomes `destination` when the block ends without an error.

    A destination that is not a regular file, such as /dev/stdout, is written directly.

    Raises:
        DiskError: the disk has no room for it, or its folder is not writable.
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
    """Replace a file's content atomically; the new content is on disk at the return.

    Raises:
        DiskError: as for `file_written_whole`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


@contextmanager
def alone(lock: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock during the block; the system releases it if the process dies.

    If the lock can't be taken, as in a read-only folder, the block runs without a lock.

    Args:
        lock: the lock file; created if it is missing, and never removed.
        waiting: called once if another process holds the lock.
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
    """Remove the temporary folders that killed writers of `destination` have left."""
    hidden = f".{glob.escape(destination.name)}.{'[0-9a-f]' * 32}"
    for pattern in (f"{hidden}.tmp", f"{hidden}.old"):
        for leftover in destination.parent.glob(pattern):
            with suppress(OSError):  # another process has removed it
                held = os.open(leftover, os.O_RDONLY)
                if try_to_hold(held):
                    shutil.rmtree(leftover)
                os.close(held)


def damaged_files(folder: Path) -> list[str]:
    """Return a text for each file that differs from SHA256SUMS or is not listed there.

    A missing SHA256SUMS counts as damaged. An unlisted file counts as damage, since it can mean
    that the list was truncated. Python's __pycache__ is left out, since Python writes it when it
    imports preprocess.py. Only regular files in the folder are opened: a list of unknown origin can
    name any file of this machine, and a link can point to any.

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
    """Return the digest of each file that SHA256SUMS lists, by file name.

    Args:
        sums: the content of SHA256SUMS.
    """
    lines = [line.partition("  ") for line in sums.decode(errors="replace").splitlines()]
    return {name: digest for digest, _, name in lines}


def is_inside(name: str) -> bool:
    """Return whether a listed name is a relative path within the list's own folder."""
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
    """Return the SHA-256 of the file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(folder: Path, name: str, digest: str) -> str | None:
    """Return a text for the fault of a listed file; None if the file matches its digest."""
    if not is_inside(name):
        return f"{name!r} (not the name of a file in the folder)"
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            return f"{name} (a link, but must be a file)"
    return None if path.is_file() and file_digest(path) == digest else name


def try_to_hold(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends; return whether this succeeded.

    It returns False if another process holds the lock, or if the file system does not support locks
    on folders. There, abandoned folders are never removed.
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
    """Return the files, links and pipes in the folder and below, except in __pycache__."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder).as_posix() for path in paths)
    own = (name for name in names if not name.startswith(f"{_COMPILED}/"))
    return [name if name.isprintable() else repr(name) for name in own]


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
        # Another process has written the same contents, and may be reading them.
        if _are_same(temporary, destination):
            break
        # A folder can't be renamed onto a folder with files, so rename the old one first. Between
        # these steps, another writer can rename it too, or put its own folder there: then retry.
        with suppress(FileNotFoundError):
            destination.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _are_same(one: Path, other: Path) -> bool:
    """Return whether `other` is undamaged and lists the same contents as `one`."""
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
