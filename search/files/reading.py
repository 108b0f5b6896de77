"""Reading files of unknown origin, up to a stated size limit."""

import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MOST_JSON_BYTES = 2**25
"""Far above any recipe.json, which contains a number for each channel that was removed."""

# Honest data compress less, except small tables that repeat themselves.
_MOST_RATIO = 100
_FREE_BYTES = 2**26
_MOST_UNPACKED_BYTES = 2**36


class DamagedFile(ValueError):
    """A file has a wrong format, or more bytes than its kind may have; the message says which."""


def opened(path: Path) -> BinaryIO:
    """Open a regular file for reading; do not wait for a pipe that nobody writes to.

    Raises:
        DamagedFile: it is a pipe, a device or the like.
        OSError: it can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise DamagedFile("it is no regular file")


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_limited(path: Path, most_bytes: int) -> bytes:
    """Return the whole content of a regular file.

    Raises:
        DamagedFile: it has more than `most_bytes` bytes, or is no regular file.
        OSError: it can't be read.
    """
    with opened(path) as file:
        if (size := size_of(file)) > most_bytes:
            raise DamagedFile(f"it has {size:,} bytes, above the {most_bytes:,} that are read")
        return file.read(size)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DamagedFile: it is no JSON, or larger than `MOST_JSON_BYTES`.
        OSError: it can't be read.
    """
    return parsed_json(read_limited(path, MOST_JSON_BYTES))


def parsed_json(text: str | bytes) -> Any:
    """Parse JSON text.

    Raises:
        DamagedFile: it is no JSON, or nested deeper than Python's own reader goes.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"it is no JSON: {error}") from error


def check_archive(path: Path) -> None:
    """Raise DamagedFile if a file is a zip archive that is compressed as only a bomb is."""
    with opened(path) as file:
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError):
            return  # the file's reader reports the error
        check_unpacked(sum(entry.file_size for entry in entries), size_of(file))


def check_unpacked(unpacked_bytes: int, packed_bytes: int) -> None:
    """Raise DamagedFile if packed bytes claim to contain as much as only a bomb does.

    The limit is 100 times the packed bytes, but at least 64 MiB and at most 64 GiB.
    """
    most = max(_FREE_BYTES, min(_MOST_RATIO * packed_bytes, _MOST_UNPACKED_BYTES))
    if unpacked_bytes > most:
        raise DamagedFile(
            f"{packed_bytes:,} bytes are said to hold {unpacked_bytes:,}, above the {most:,} that "
            "are read"
        )
