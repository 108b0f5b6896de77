"""Standard output that never fails: after `head` ends, on a closed terminal, on a full disk.

A search must not end because a line about it can't be printed.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# With these errors nobody reads the output any more: `head` has ended, or the terminal is closed.
_GONE = (errno.EPIPE, errno.EIO)


class DroppingFile(io.FileIO):
    """A file open for writing that drops the data that can't be written."""

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
        """Whether somebody may still expect the dropped output."""
        return self.fault is not None and self.fault.errno not in _GONE


def lasting_output() -> DroppingFile:
    """Replace standard output and standard error by files that never fail; return the first."""
    _occupy_standard_files()
    files = [DroppingFile(number, "w", closefd=False) for number in (1, 2)]
    sys.stdout, sys.stderr = (
        _text(file, like) for file, like in zip(files, (sys.stdout, sys.stderr), strict=True)
    )
    return files[0]


def _occupy_standard_files() -> None:
    """Open the null device for each closed standard file.

    Otherwise the next file that is opened would get its number, and receive the printed text.
    """
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
        line_buffering=True,  # who follows a file or a pipe sees each line at once
    )
