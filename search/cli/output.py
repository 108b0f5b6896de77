"""Output that survives the loss of its reader: `head`, a closed terminal, a full disk.

A search must not end because a line about it can't be shown.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Nobody is left to read a message: `head` has read enough, or the terminal is closed.
_GONE = (errno.EPIPE, errno.EIO)


class DroppingFile(io.FileIO):
    """An open file for writing that drops what can't be written."""

    fault: OSError | None = None
    """Why writing stopped; None while it works."""

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:
                self.fault = error
        return memoryview(data).nbytes

    @property
    def is_missed(self) -> bool:
        """Whether somebody may wait for the dropped output."""
        return self.fault is not None and self.fault.errno not in _GONE


def lasting_output() -> DroppingFile:
    """Replace standard output and error by files that never fail; return the output's."""
    _occupy_standard_files()
    files = [DroppingFile(number, "w", closefd=False) for number in (1, 2)]
    sys.stdout, sys.stderr = (
        _text(file, like) for file, like in zip(files, (sys.stdout, sys.stderr), strict=True)
    )
    return files[0]


def _occupy_standard_files() -> None:
    """Open closed standard files: else the next opened file would receive what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _text(file: DroppingFile, like: TextIO | None) -> io.TextIOWrapper:
    with suppress(OSError):
        if like is not None:
            like.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=like.encoding if like else "utf-8",
        errors=like.errors if like else "backslashreplace",
        line_buffering=file.isatty() or file.fileno() == 2,
    )
