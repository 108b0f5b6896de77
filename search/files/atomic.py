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
# A hundred thousand files; a folder of this project's holds ten.
MOST_LIST_BYTES = 2**24
_LONGEST_NAME, _LONGEST_PATH = 255, 1024  # bytes and letters that a file system takes


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
        sealed: is given the folder once it is whole, the last thing before others see it; what it
            raises keeps the folder from them.

    Raises:
        DiskError: there is no room for it, or its parent can't be written.
    """
    temporary = destination.parent / f".{destination.name}.{uuid.uuid4().hex}.tmp"
    with naming_disk(destination.parent):
        temporary.mkdir(parents=True)
    held = os.open(temporary, os.O_RDONLY)
    try_to_hold(held)
    try:
        with naming_disk(destination.parent):  # before the clean-up, which makes room
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
    """A temporary file that becomes `destination` once the block has ended without an error.

    What is no file, such as /dev/stdout, is written as it is.

    Raises:
        DiskError: there is no room for it, or its folder can't be written.
    """
    destination = destination.resolve()
    if destination.exists() and not destination.is_file():
        yield destination
        return
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.tmp")
    try:
        with naming_disk(destination.parent):  # before the clean-up, which makes room
            yield temporary
            temporary.replace(destination)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Gives a file this content, at once or not at all; the disk has it then.

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
    """Lets one process at a time into the block; one that has died is out of it.

    Where there can't be a lock, as in a folder that is only read, nobody waits.

    Args:
        lock: a file that stays; made where it is not there.
        waiting: called once, where another process is in the block.
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
    """Removes what writers of `destination` that were killed have left beside it."""
    hidden = f".{glob.escape(destination.name)}.{'[0-9a-f]' * 32}"
    for pattern in (f"{hidden}.tmp", f"{hidden}.old"):
        for leftover in destination.parent.glob(pattern):
            with suppress(OSError):  # it is gone by now
                held = os.open(leftover, os.O_RDONLY)
                if try_to_hold(held):
                    shutil.rmtree(leftover)
                os.close(held)


def damaged_files(folder: Path) -> list[str]:
    """What is not as SHA256SUMS says, or what it does not list: the files' names, for a person.

    An unlisted file means that the list was cut short; a list that is missing is damaged itself.
    Only regular files in the folder are opened: a list that anybody may have written can name any
    file of this machine, and so can a link.

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
    """The digest of each file that a SHA256SUMS with this content lists, by its name."""
    lines = [line.partition("  ") for line in sums.decode(errors="replace").splitlines()]
    return {name: digest for digest, _, name in lines}


def is_inside(name: str) -> bool:
    """Whether a listed name is that of a file in the list's own folder, plainly written."""
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
    """Hexadecimal SHA-256 of the file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(folder: Path, name: str, digest: str) -> str | None:
    """What to call a listed file that is not as it is listed; None of one that is."""
    if not is_inside(name):
        return f"{name!r} (no name of a file in the folder)"
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            return f"{name} (a link, where a file must be)"
    return None if path.is_file() and file_digest(path) == digest else name


def try_to_hold(descriptor: int) -> bool:
    """Holds what is open until it is closed, or its process ends; not if another process does.

    Nor on a file system that has no such locks for folders: nothing is ever removed there.
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
    """All that is in it but for folders: files, links, pipes."""
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
