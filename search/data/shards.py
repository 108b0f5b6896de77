"""Shards: a few large files with the images of a part, which replace many small or huge files.

A shard contains the encoded images one after another. Photos that are much larger than needed are
encoded again, at a reduced size. All other images keep their own bytes.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.images import decode
from search.data.pictures import Pictures

# With 1.5 times the side, a bilinear reduction still has its antialiasing, and a crop of 2/3 of the
# shorter side is not enlarged.
MARGIN = 1.5
_REDUCED_FROM = 2
_LONGEST_SIDE = 16_000  # a JPEG has at most 65,535
_QUALITY = 90
_SHARD_BYTES = 2**30
_FULL_COLOUR = 0  # no subsampling: photos lose theirs when they are reduced


@dataclass(frozen=True, kw_only=True)
class ShardPictures(Pictures):
    """Images in shards; `items` are shard, offset and number of bytes, [images, 3], int64.

    `origin` has the keys `folder` and `part`.
    """

    def name(self, index: int) -> str:
        return f"image {index} of {self.origin['part']} in {self.origin['folder']}"

    def open(self, index: int, *, least: int | None = None) -> Image.Image:
        return decode(
            io.BytesIO(self.content(index)), self.channels, name=self.name(index), least=least
        )

    def content(self, index: int) -> bytes:
        shard, offset, size = (int(value) for value in self.items[index])
        path = shard_path(Path(self.origin["folder"]), self.origin["part"], shard)
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)


class ShardWriter:
    """Writer of the shards of a part.

    Args:
        folder: the folder of the prepared data set.
        part: the part's name.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self._folder = folder
        self._part = part
        self._items: list[tuple[int, int, int]] = []
        self._file: BinaryIO | None = None
        self._shard = -1

    def append(self, content: memoryview) -> None:
        """Append an encoded image."""
        if self._file is None or self._file.tell() + len(content) > _SHARD_BYTES:
            self._open_next()
        assert self._file is not None
        self._items.append((self._shard, self._file.tell(), len(content)))
        self._file.write(content)

    def items(self) -> NDArray[np.int64]:
        """Return the items of `ShardPictures`."""
        return np.array(self._items, dtype=np.int64).reshape(-1, 3)

    def close(self) -> None:
        """Close the last shard."""
        if self._file is not None:
            self._file.close()

    def _open_next(self) -> None:
        self.close()
        self._shard += 1
        self._file = shard_path(self._folder, self._part, self._shard).open("wb")


def shard_path(folder: Path, part: str, shard: int) -> Path:
    """Return the path of a shard."""
    return folder / f"{part}_images{shard:04d}.bin"


def shards_of(folder: Path, part: str) -> Iterator[Path]:
    """Yield the paths of all shards of a part."""
    return folder.glob(f"{part}_images[0-9][0-9][0-9][0-9].bin")


def check_shards(pictures: ShardPictures) -> None:
    """Check that the shards are as long as the items say.

    Raises:
        ValueError: a shard is too short, or the items have another shape.
        OSError: a shard is missing.
    """
    items = pictures.items
    if items.ndim != 2 or items.shape[1] != 3 or items.dtype != np.int64:
        raise ValueError(f"the items of shards must be [images, 3], but are {list(items.shape)}")
    for shard in np.unique(items[:, 0]):
        path = shard_path(Path(pictures.origin["folder"]), pictures.origin["part"], int(shard))
        end = int(items[items[:, 0] == shard, 1:].sum(axis=1).max())
        if path.stat().st_size < end:
            raise ValueError(f"{path.name} must have {end} bytes, but has {path.stat().st_size}")


def is_large(size: tuple[int, int], side: int) -> bool:
    """Return whether an image is encoded again, with `side` as its shorter side.

    Args:
        size: the width and height of the image.
        side: the shorter side of a reduced image, in pixels.
    """
    shorter, longer = min(size), max(size)
    return shorter >= _REDUCED_FROM * side and longer * side <= _LONGEST_SIDE * shorter


def reduced(image: Image.Image, side: int) -> bytes:
    """Return an image as a JPEG with `side` as its shorter side, in pixels."""
    shorter = min(image.size)
    width, height = (round(length * side / shorter) for length in image.size)
    smaller = image.resize((width, height), Image.Resampling.LANCZOS)
    return _encoded(smaller, "JPEG", quality=_QUALITY, subsampling=_FULL_COLOUR)


def unchanged(pictures: Pictures, index: int, image: Image.Image) -> bytes:
    """Return an image's own bytes, or a PNG of its pixels where it has no bytes of its own."""
    content = pictures.content(index)
    return _encoded(image, "PNG", compress_level=1) if content is None else content


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
