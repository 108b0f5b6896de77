"""Errors of a full, read-only or failing disk, with its place, its free space and advice.

Code that writes files does it in a block of `naming_disk` or `scratch`. Libraries that write from
native code raise errors of their own, which identify the disk only by their message.
"""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import DiskError, RetortError
from search.objectives.units import format_bytes

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A file that is only read can cause these too: they count only where the file is ours.
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_FAILING = (errno.EIO,)
_SAID = {os.strerror(number): number for number in (*_FULL, errno.EROFS, *_FAILING)}
_RUST = re.compile(r"\(os error (\d+)\)")  # safetensors
# Messages of NumPy's `tofile` and torch's zip writer, which don't give the reason.
_SHORT = re.compile(r"\d+ requested and \d+ written|inline_container\.cc|iostream error")

_FEW_INODES = 16


@contextmanager
def naming_disk(folder: Path, *, otherwise: str = "") -> Iterator[None]:
    """Raise DiskError in place of any error that means that `folder` can't be written to."""
    try:
        yield
    except Exception as error:
        if fault := disk_fault(error, folder, otherwise=otherwise):
            raise fault from error
        raise


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a temporary folder that is removed at the block's end.

    Raises:
        DiskError: there is no room for files, or no folder that can be written.
    """
    otherwise = ", or set TMPDIR to a folder elsewhere"
    try:
        parent = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise DiskError(
            f"temporary files must have a folder that takes them, but none does ({error.strerror}):"
            f" make room{otherwise}"
        ) from error
    with naming_disk(parent, otherwise=otherwise):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    # `naming_disk` exits before the clean-up, which makes room.
    with folder, naming_disk(parent, otherwise=otherwise):
        yield Path(folder.name)


def check_writable(folder: Path) -> None:
    """Check, without writing, that `folder` may be written to or created.

    Raises:
        DiskError: it may not.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        read_only = os.statvfs(there).f_flag & os.ST_RDONLY
        reason = os.strerror(errno.EROFS if read_only else errno.EACCES)
        raise DiskError(f"{folder} can't be written ({reason}): make it writable")


def disk_fault(
    error: BaseException,
    folder: Path | None = None,
    *,
    otherwise: str = "",
) -> DiskError | None:
    """Return the error as one that names the disk; None where something else was wrong.

    Args:
        error: the error that was raised.
        folder: the folder that was written to; by default the error must name its file.
        otherwise: other advice; follows the advice to make room.
    """
    if isinstance(error, DiskError):
        return error
    number = None if isinstance(error, RetortError) else _number(error)
    place = _named(error) or folder
    if number is None or place is None:
        return None
    if number in _CLOSED and number != errno.EROFS and not _is_below(place, folder):
        return None
    if folder and _is_below(place, folder):
        place = folder  # the file's own name may be a temporary one
    said = f"{place} can't be written ({os.strerror(number)})"
    if number in _FULL:
        return DiskError(f"{said}; {_room(place)}: make room there{otherwise}")
    if number in _FAILING:
        return DiskError(f"{said}: look at the disk's health{otherwise}")
    return DiskError(f"{said}: make it writable{otherwise}")


def _number(error: BaseException) -> int | None:
    """Return the error number, or the one that the message stands for."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if found := _RUST.search(text):
        number = int(found[1])
    elif number is None:
        number = next((code for words, code in _SAID.items() if words in text), None)
    if number is None and _SHORT.search(text):
        number = errno.ENOSPC
    return number if number in (*_FULL, *_CLOSED, *_FAILING) else None


def _named(error: BaseException) -> Path | None:
    """Return the file that could not be written; for a copy or a renaming, the destination."""
    if not isinstance(error, OSError):
        return None
    name = error.filename2 or error.filename
    return Path(os.fsdecode(name)).absolute() if isinstance(name, str | bytes) else None


def _is_below(place: Path, folder: Path | None) -> bool:
    return folder is not None and place.is_relative_to(folder.absolute())


def _room(place: Path) -> str:
    """Return how much free space there is where `place` would be."""
    try:
        there = next(folder for folder in (place, *place.parents) if folder.is_dir())
        found = os.statvfs(there)
    except OSError:
        return "how much room there is can't be told"
    mount = next(folder for folder in (there, *there.parents) if folder.is_mount())
    free, whole = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    room = f"the file system at {mount} has {format_bytes(free)} of {format_bytes(whole)} free"
    # Some file systems create inodes on demand, and report 0 of 0.
    lacks_inodes = found.f_files and found.f_favail < _FEW_INODES
    return f"{room}, and {found.f_favail} of {found.f_files} inodes" if lacks_inodes else room
