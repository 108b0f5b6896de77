"""The idx files of MNIST and Fashion-MNIST: four files, compressed or not.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, a type, the number of dimensions, each
dimension as a big-endian word, then the values).
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from search.config.data_settings import DataSettings
from search.data.pictures import ArrayPictures
from search.data.sources.source import Pool, Source
from search.errors import DataError
from search.files.reading import check_unpacked

_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_LABELS_MAGIC, _IMAGES_MAGIC = 0x0801, 0x0803
_MOST_VALUES = 2**32


def read_mnist(settings: DataSettings) -> Source:
    """Read MNIST, handwritten digits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return _read(settings, _DIGITS)


def read_fashion_mnist(settings: DataSettings) -> Source:
    """Read Fashion-MNIST, garments.

    Raises:
        DataError: a file is missing or damaged.
    """
    return _read(settings, _GARMENTS)


def _read(settings: DataSettings, classes: tuple[str, ...]) -> Source:
    assert settings.path is not None
    folder = settings.path.expanduser()
    training, test = (_pool(folder, part) for part in ("train", "t10k"))
    return Source(classes=classes, training=training, held_out=(test,))


def _pool(folder: Path, part: str) -> Pool:
    images = _values(_find(folder, f"{part}-images-idx3-ubyte"), _IMAGES_MAGIC)
    labels = _values(_find(folder, f"{part}-labels-idx1-ubyte"), _LABELS_MAGIC)
    pictures = ArrayPictures.of(images[..., None], f"{part}-images-idx3-ubyte")
    return Pool(pictures=pictures, labels=labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(
        f"data.path must contain {name}.gz or {name}, but {str(folder)!r} contains neither; "
        "download the four idx files there"
    )


def _values(path: Path, magic: int) -> NDArray[np.uint8]:
    """Read the array of an idx file; unpack no more than its header states."""
    try:
        with _opened(path) as file:
            shape = _shape(file, magic)
            check_unpacked(math.prod(shape), path.stat().st_size)
            values = np.frombuffer(file.read(math.prod(shape) + 1), dtype=np.uint8)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(values) != math.prod(shape):
        raise _damaged(path, f"its header states {shape} values, but it contains more or fewer")
    return values.reshape(shape)


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return path.open("rb")


def _shape(file: IO[bytes], magic: int) -> tuple[int, ...]:
    dimensions = magic & 0xFF
    head = np.frombuffer(file.read(4 * (1 + dimensions)), dtype=">u4")
    if len(head) != 1 + dimensions or head[0] != magic:
        raise ValueError(f"it must begin with {magic:#010x}, but does not")
    shape = tuple(int(length) for length in head[1:])
    if 0 in shape or math.prod(shape) > _MOST_VALUES:
        raise ValueError(
            f"its header must state from 1 to {_MOST_VALUES} values, but states {shape}"
        )
    return shape


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"an idx file must be undamaged, but {str(path)!r} is not ({reason}); download it again"
    )
