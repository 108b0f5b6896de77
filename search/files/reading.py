"""Reading of files of unknown origin, with size limits."""

import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MOST_JSON_BYTES = 2**25
"""The size limit of JSON files, far above any recipe.json."""

# Real data compress less, except small repetitive tables.
_MOST_RATIO = 100
_FREE_BYTES = 2**26
_MOST_UNPACKED_BYTES = 2**36


class DamagedFile(ValueError):
    """A file has a wrong format or too many bytes; the message names the fault."""


def opened(path: Path) -> BinaryIO:
    """Open a regular file for reading; never block on a pipe.

    Raises:
        DamagedFile: it is not a regular file, but a pipe or a device, for example.
        OSError: it can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise DamagedFile("it is not a regular file")


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_limited(path: Path, most_bytes: int) -> bytes:
    """Return the whole content of a regular file.

    Raises:
        DamagedFile: it has more than `most_bytes` bytes, or is not a regular file.
        OSError: it can't be read.
    """
    with opened(path) as file:
        if (size := size_of(file)) > most_bytes:
            raise DamagedFile(f"it must have at most {most_bytes:,} bytes, but has {size:,}")
        return file.read(size)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DamagedFile: it is not JSON, or larger than `MOST_JSON_BYTES`.
        OSError: it can't be read.
    """
    return parsed_json(read_limited(path, MOST_JSON_BYTES))


def parsed_json(text: str | bytes) -> Any:
    """Parse JSON text.

    Raises:
        DamagedFile: it is not JSON, or nested too deeply for Python's parser.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"it is not JSON: {error}") from error


def check_archive(path: Path) -> None:
    """Raise DamagedFile if a file is a zip bomb. A file that is no zip archive passes."""
    with opened(path) as file:
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError):
            return  # the reader of the file will raise the error
        check_unpacked(sum(entry.file_size for entry in entries), size_of(file))


def check_unpacked(unpacked_bytes: int, packed_bytes: int) -> None:
    """Raise DamagedFile if compressed data state an unpacked size that only a bomb has.

    The limit is 100 times the packed size, but at least 64 MiB and at most 64 GiB.
    """
    most = max(_FREE_BYTES, min(_MOST_RATIO * packed_bytes, _MOST_UNPACKED_BYTES))
    if unpacked_bytes > most:
        raise DamagedFile(
            f"its {packed_bytes:,} bytes must unpack to at most {most:,} bytes, but state "
            f"{unpacked_bytes:,}"
        )
