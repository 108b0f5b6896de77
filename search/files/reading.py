"""Files that anybody may have written: no more is read of one than a stated ceiling."""

import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MOST_JSON_BYTES = 2**25
"""Far above any recipe.json, which holds a number for each channel that was cut."""

# Honest data are packed less tightly, but for small tables that repeat themselves.
_MOST_RATIO = 100
_FREE_BYTES = 2**26
_MOST_UNPACKED_BYTES = 2**36


class DamagedFile(ValueError):
    """A file is not what it must be, or holds more than is read of its kind; says in what way."""


def opened(path: Path) -> BinaryIO:
    """A regular file, open for reading; a pipe that nobody writes to is not waited for.

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
    """Bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def read_limited(path: Path, most_bytes: int) -> bytes:
    """All that a regular file holds.

    Raises:
        DamagedFile: it holds more bytes than that, or is no regular file.
        OSError: it can't be read.
    """
    with opened(path) as file:
        if (size := size_of(file)) > most_bytes:
            raise DamagedFile(f"it has {size:,} bytes, above the {most_bytes:,} that are read")
        return file.read(size)


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DamagedFile: it is no JSON, or larger than `MOST_JSON_BYTES`.
        OSError: it can't be read.
    """
    return parsed_json(read_limited(path, MOST_JSON_BYTES))


def parsed_json(text: str | bytes) -> Any:
    """What JSON text holds.

    Raises:
        DamagedFile: it is no JSON, or nested deeper than Python's own reader goes.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"it is no JSON: {error}") from error


def check_archive(path: Path) -> None:
    """Raises DamagedFile where a file is a zip archive that is packed as only a bomb is."""
    with opened(path) as file:
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError):
            return  # whoever reads it says what it is
        check_unpacked(sum(entry.file_size for entry in entries), size_of(file))


def check_unpacked(unpacked_bytes: int, packed_bytes: int) -> None:
    """Raises DamagedFile where packed bytes are said to hold what only a bomb does.

    That is, beyond 64 MiB, more than 100 times as many; and in no case more than 64 GiB.
    """
    most = max(_FREE_BYTES, min(_MOST_RATIO * packed_bytes, _MOST_UNPACKED_BYTES))
    if unpacked_bytes > most:
        raise DamagedFile(
            f"{packed_bytes:,} bytes are said to hold {unpacked_bytes:,}, above the {most:,} that "
            "are read"
        )
