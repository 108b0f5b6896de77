"""Pickles that mean harm or are damaged, each given to the reader: run as a process of its own.

Prints how many were read and how many refused; anything else ends it by a traceback, or by a
signal where memory was followed that is not its own.
"""

import pickle
import pickletools
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from search.data.sources.safe_pickle import read_pickle
from search.errors import DataError

MOST_MEMORY = 2**30

# numpy.dtype('O8') whose flags a BUILD clears, then an array of it made of these bytes: its one
# element is a pointer to 0x4141414141414141, which is followed where the array is used as a shape.
OBJECT_TYPE = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8K\x00K\x01tR"
    b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
ARRAY_OF_POINTERS = b"\x80\x03cnumpy\nndarray\n((K\x01t" + OBJECT_TYPE + b"C\x08AAAAAAAAtR."
SHAPE_OF_POINTERS = (
    b"\x80\x03cnumpy\nndarray\n(cnumpy\nndarray\n((K\x01t" + OBJECT_TYPE + b"C\x08AAAAAAAAtRtR."
)
OPCODES = "".join(opcode.code for opcode in pickletools.opcodes).encode("latin-1")
NAMES = (b"numpy ndarray", b"numpy dtype", b"numpy.core.multiarray _reconstruct",
         b"numpy._core.numeric _frombuffer", b"_codecs encode", b"os system")  # fmt: skip


def batch() -> dict[object, object]:
    """What a small file of CIFAR-10 holds."""
    pixels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    return {b"data": pixels, b"labels": [3, 7], "filenames": ["a.png", "b.png"], b"share": 0.5}


def mutated(generator: random.Random, content: bytes) -> bytes:
    """The content with a few bytes changed, put in or left out, most of them in its structure."""
    changed = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        place = generator.choice((generator.randrange(300), -generator.randrange(1, 300)))
        some = bytes(generator.choice(OPCODES) for _ in range(generator.randint(0, 3)))
        changed[place : place + generator.randint(0, 3)] = some
    return bytes(changed)


def opcodes(generator: random.Random) -> bytes:
    """A program of opcodes that are known, with names and small values among them."""
    pieces = [
        lambda: bytes([generator.choice(OPCODES)]),
        lambda: bytes([generator.choice(OPCODES)]),
        lambda: b"c" + generator.choice(NAMES).replace(b" ", b"\n") + b"\n",
        lambda: b"K" + bytes([generator.randrange(9)]),
        lambda: b"C\x08AAAAAAAA",
        lambda: OBJECT_TYPE,
        lambda: OBJECT_TYPE.replace(b"O8", b"u1"),
        lambda: b"}X\x01\x00\x00\x00a",
        lambda: b"\x85R",
        lambda: b"\x86Rb",
    ]
    return b"".join(generator.choice(pieces)() for _ in range(generator.randint(1, 30))) + b"."


def tries(count: int) -> Iterator[bytes]:
    generator = random.Random(31)  # noqa: S311
    whole = [pickle.dumps(batch(), protocol=protocol) for protocol in range(6)]
    whole += [content.replace(b"numpy._core", b"numpy.core") for content in whole[:4]]
    yield from whole
    for _ in range(count):
        yield mutated(generator, generator.choice(whole))
        yield opcodes(generator)


def main(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    read = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_batch"
        for content in tries(count):
            path.write_bytes(content)
            try:
                found = read_pickle(path)
            except DataError:
                refused += 1
                continue
            read += 1
            # What is read is used: an array that is not of its own bytes would be found here.
            repr({key: value.sum() if isinstance(value, np.ndarray) else value
                  for key, value in found.items()})  # fmt: skip
    sys.stdout.write(f"{read} {refused}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
