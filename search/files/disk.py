"""Errors of a full, read-only or failing disk, with its path, its free space and advice.

Code must write files inside a block of `naming_disk` or `scratch`. Libraries that write from native
code have their own exception types, and only their message shows that the disk is the cause.
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
# Reading a file can cause these too, so they count only for files in the folder that is written.
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_FAILING = (errno.EIO,)
_NUMBER_OF_MESSAGE = {os.strerror(number): number for number in (*_FULL, errno.EROFS, *_FAILING)}
_RUST = re.compile(r"\(os error (\d+)\)")  # safetensors
# Messages of NumPy's `tofile` and torch's zip writer, which don't state the reason.
_SHORT = re.compile(r"\d+ requested and \d+ written|inline_container\.cc|iostream error")

_FEW_INODES = 16


@contextmanager
def naming_disk(folder: Path, *, otherwise: str = "") -> Iterator[None]:
    """Raise DiskError in place of any error which means that `folder` can't be written."""
    try:
        yield
    except Exception as error:
        if fault := disk_fault(error, folder, otherwise=otherwise):
            raise fault from error
        raise


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a temporary folder that is removed at the end of the block.

    Raises:
        DiskError: the disk has no room, or there is no writable folder for temporary files.
    """
    otherwise = ", or set TMPDIR to a folder elsewhere"
    try:
        parent = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise DiskError(
            f"temporary files need a writable folder, but none was found ({error.strerror}): make "
            f"room{otherwise}"
        ) from error
    with naming_disk(parent, otherwise=otherwise):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    # `naming_disk` exits before the clean-up, which makes room.
    with folder, naming_disk(parent, otherwise=otherwise):
        yield Path(folder.name)


def check_writable(folder: Path) -> None:
    """Check, without writing, that `folder` is writable or can be created.

    Raises:
        DiskError: it is not writable.
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
    """Return a DiskError for an error of the disk; None for another error.

    Args:
        error: the error that was raised.
        folder: the folder that was written to. With None, the error itself must name its file.
        otherwise: further advice, appended to the message.
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
        place = folder  # the file may have a temporary name
    message = f"{place} can't be written ({os.strerror(number)})"
    if number in _FULL:
        return DiskError(f"{message}; {_room(place)}: make room there{otherwise}")
    if number in _FAILING:
        return DiskError(f"{message}: check the disk's health{otherwise}")
    return DiskError(f"{message}: make it writable{otherwise}")


def _number(error: BaseException) -> int | None:
    """Return the error number of a disk error, from its attribute or its message; else None."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if found := _RUST.search(text):
        number = int(found[1])
    elif number is None:
        number = next(
            (code for message, code in _NUMBER_OF_MESSAGE.items() if message in text), None
        )
    if number is None and _SHORT.search(text):
        number = errno.ENOSPC
    return number if number in (*_FULL, *_CLOSED, *_FAILING) else None


def _named(error: BaseException) -> Path | None:
    """Return the path in the error; for a copy or a rename, its destination."""
    if not isinstance(error, OSError):
        return None
    name = error.filename2 or error.filename
    return Path(os.fsdecode(name)).absolute() if isinstance(name, str | bytes) else None


def _is_below(place: Path, folder: Path | None) -> bool:
    return folder is not None and place.is_relative_to(folder.absolute())


def _room(place: Path) -> str:
    """Describe the free space of the file system that contains `place`."""
    try:
        there = next(folder for folder in (place, *place.parents) if folder.is_dir())
        found = os.statvfs(there)
    except OSError:
        return "its free space is unknown"
    mount = next(folder for folder in (there, *there.parents) if folder.is_mount())
    free, whole = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    room = f"the file system at {mount} has {format_bytes(free)} of {format_bytes(whole)} free"
    # Some file systems create inodes on demand, and report 0 of 0.
    lacks_inodes = found.f_files and found.f_favail < _FEW_INODES
    return f"{room}, and {found.f_favail} of {found.f_files} inodes" if lacks_inodes else room
