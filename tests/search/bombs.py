"""Archives that say, or hold, more than anybody wants: made in no time and in little memory."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

MEGABYTE = 2**20


def npy_head(shape: tuple[int, ...], kind: str) -> bytes:
    """The head of an .npy file that announces such an array."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def deflated_zeros(megabytes: int, *, first: bytes, wbits: int) -> bytes:
    """So many megabytes of zeros after `first`, deflated: one block, again and again."""
    packer = zlib.compressobj(9, wbits=wbits)
    head = packer.compress(first) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes + packer.flush()


def write_zip(path: Path, *, name: str, packed: bytes, size: int, method: int = 8) -> None:
    """An archive of one entry that says of itself that it holds so many bytes."""
    fields = (20, 0, method, 0, 0, 0, len(packed), size, len(name), 0)
    local = struct.pack("<4s5HL2L2H", b"PK\3\4", *fields) + name.encode()
    listed = struct.pack("<4sH5HL2L2H3H2L", b"PK\1\2", 20, *fields, 0, 0, 0, 0, 0) + name.encode()
    start = len(local) + len(packed)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(listed), start, 0)
    path.write_bytes(local + packed + listed + end)


def write_zip_bomb(path: Path, name: str, kind: str = "|u1") -> None:
    """Three megabytes that hold an array of three gigabytes."""
    megabytes = 3 * 1024
    head = npy_head((megabytes * MEGABYTE // np.dtype(kind).itemsize,), kind)
    packed = deflated_zeros(megabytes, first=head, wbits=-15)
    write_zip(path, name=f"{name}.npy", packed=packed, size=len(head) + megabytes * MEGABYTE)


def write_header_bomb(path: Path, name: str, *, kind: str = "|u1") -> None:
    """A file of 300 bytes whose head announces 2.8 TiB."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", npy_head((700_000, 2048, 2048), kind) + b"all there is")


def with_flag(path: Path, flag: int) -> None:
    """Sets a flag of the only entry, in both of the places where it stands."""
    content = bytearray(path.read_bytes())
    content[6] |= flag
    content[content.index(b"PK\1\2") + 8] |= flag
    path.write_bytes(content)
