"""Arrays from files of unknown origin, checked before any memory is allocated.

The reader of .npz files reads the list of entries first, then the header of each entry. It refuses
entries that are encrypted, entries compressed by a method that numpy does not use, values other
than numbers and text, headers that do not match the size of their entry, and more bytes than
`search.files.reading.check_unpacked` allows.
"""

import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from search.files.reading import DamagedFile, check_unpacked, opened, size_of

_SUFFIX = ".npy"
_CHUNK_BYTES = 2**20
_ENCRYPTED = 0x1
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = "biufSU"  # truth values, integers, floats, bytes and text
_HEADS: Mapping[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
# The errors that zipfile, zlib and numpy raise for damaged files.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)


def read_npz(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of these names in an .npz file, without missing names.

    Raises:
        DamagedFile: the file is damaged, or not one that numpy.savez writes from numbers and text.
            The message names the entry.
        OSError: it can't be read.
    """
    with opened(path) as file, _archive(file) as archive:
        entries = {entry.filename.removesuffix(_SUFFIX): entry for entry in archive.infolist()}
        wanted = {name: entries[name] for name in names if name in entries}
        for name, entry in wanted.items():
            _check_entry(name, entry)
        check_unpacked(sum(entry.file_size for entry in wanted.values()), size_of(file))
        return {name: _array(archive, name, entry) for name, entry in wanted.items()}


class ArrayWriter:
    """Writer of an .npy file whose first length is not known before its end.

    The values go straight to the file. Writing through a memory map would need no memory either,
    but would kill the process where the disk is full.

    Args:
        path: the file.
        shape: the shape of one item.
        dtype: the type of the values.

    Raises:
        OSError: the file can't be written.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._file = path.open("wb")
        self._shape = shape
        self._dtype = np.dtype(dtype)
        self._items = 0
        self._write_head()
        self._head_bytes = self._file.tell()

    def append(self, item: memoryview) -> None:
        """Append one item; its bytes are in the order of the file."""
        self._file.write(item)
        self._items += 1

    def finish(self) -> None:
        """Write the number of items, and close the file."""
        self._file.seek(0)
        self._write_head()
        assert self._file.tell() == self._head_bytes  # NumPy leaves room for 21 digits
        self.close()

    def close(self) -> None:
        """Close the file, which is damaged unless it was finished."""
        self._file.close()

    def _write_head(self) -> None:
        shape = (self._items, *self._shape)
        head = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, head)


def mapped(path: Path) -> NDArray[Any]:
    """Map the array of an .npy file into memory; only for files that retort wrote.

    Raises:
        DamagedFile: the file is damaged.
        OSError: it can't be read.
    """
    try:
        return npy.open_memmap(path, mode="r").view(np.ndarray)
    except _DAMAGE as error:
        raise DamagedFile(f"{path.name} is damaged: {error}") from error


def _archive(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise DamagedFile(f"it is not an .npz archive: {error}") from error


def _check_entry(name: str, entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise DamagedFile(f"its entry {name!r} is encrypted")
    if entry.compress_type not in _PACKINGS:
        raise DamagedFile(
            f"its entry {name!r} is compressed by method {entry.compress_type}, which numpy "
            "does not use"
        )


def _array(archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> NDArray[Any]:
    try:
        with archive.open(entry) as file:
            return _values(file, entry.file_size)
    except _DAMAGE as error:
        raise DamagedFile(f"its entry {name!r} is damaged: {error}") from error


def _values(file: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array of an .npy file of `size` bytes."""
    version = npy.read_magic(file)
    if version not in _HEADS:
        raise ValueError(f"its version must be 1.0 or 2.0, but is {version}")
    shape, is_fortran, dtype = _HEADS[version](file)
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"its values must be numbers or text, but are of type {dtype}")
    stated_bytes, actual_bytes = math.prod(shape) * dtype.itemsize, size - file.tell()
    if stated_bytes != actual_bytes:
        raise ValueError(f"its header states {stated_bytes:,} bytes, but {actual_bytes:,} follow")
    content = np.empty(stated_bytes, dtype=np.uint8)
    _fill(content.data, file)
    if dtype.kind == "U" and content.view(f"{dtype.byteorder}u4").max(initial=0) > sys.maxunicode:
        raise ValueError("its text contains an invalid character")
    return content.view(dtype).reshape(shape, order="F" if is_fortran else "C")


def _fill(content: memoryview, file: IO[bytes]) -> None:
    """Read into `content` in chunks, without a second copy of all the data."""
    place = 0
    while place < len(content):
        chunk = file.read(min(_CHUNK_BYTES, len(content) - place))
        if not chunk:
            raise ValueError(f"it must have {len(content):,} bytes, but ends after {place:,}")
        content[place : place + len(chunk)] = chunk
        place += len(chunk)
