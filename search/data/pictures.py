"""Pictures: collections of images that are not decoded yet.

All kinds of pictures have the same two fields: an array whose first axis is the images, and a
description of their origin. So all kinds can be split by indexing, written to disk, and opened by a
worker process.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.images import decode, printable, size_of
from search.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Pictures(ABC):
    """Images that are decoded on demand.

    Attributes:
        items: a value for each image that locates it, [images, ...]; no Python objects.
        channels: 1 or 3.
        origin: the values that all images have in common, such as their folder.
    """

    parallel: ClassVar[bool] = True  # whether several threads may decode
    complete: ClassVar[bool] = False  # whether `items` are the pixels

    items: NDArray[Any]
    channels: int
    origin: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.items)

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the images with these indices, in this order."""
        return type(self)(items=self.items[indices], channels=self.channels, origin=self.origin)

    @abstractmethod
    def name(self, index: int) -> str:
        """Return an image's name for messages."""

    @abstractmethod
    def open(self, index: int, *, least: int | None = None) -> Image.Image:
        """Open one image in mode L (1 channel) or RGB (3).

        Args:
            index: the image's index.
            least: the length of the shorter side that suffices, in pixels. A larger JPEG may be
                decoded at a half, a quarter or an eighth of its size. None: at its own size.

        Raises:
            DataError: the image is damaged.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Return an image's width and height, before its EXIF orientation is applied.

        Raises:
            DataError: the image is damaged.
        """
        return self.open(index).size

    def content(self, index: int) -> bytes | None:
        """Return the bytes of an image's file; None if it has no file of its own.

        Raises:
            DataError: the file is missing.
        """
        return None


@dataclass(frozen=True, kw_only=True)
class FilePictures(Pictures):
    """Image files below one folder; `items` are their paths relative to it, as bytes.

    `origin` has the key `links` if links may lead out of the folder.
    """

    @classmethod
    def under(
        cls, root: Path, names: list[str], *, channels: int = 3, follow_links: bool = False
    ) -> Self:
        """Create from the names of files below a folder."""
        items = np.array([os.fsencode(name) for name in names], dtype=np.bytes_)
        links = {"links": "followed"} if follow_links else {}
        return cls(items=items, channels=channels, origin={"root": str(root.resolve()), **links})

    def name(self, index: int) -> str:
        return printable(os.fsdecode(bytes(self.items[index])))

    def open(self, index: int, *, least: int | None = None) -> Image.Image:
        return decode(self._path(index), self.channels, name=self.name(index), least=least)

    def size(self, index: int) -> tuple[int, int]:
        return size_of(self._path(index), name=self.name(index))

    def content(self, index: int) -> bytes:
        return self._path(index).read_bytes()

    def _path(self, index: int) -> Path:
        root = Path(self.origin["root"])
        path = root / os.fsdecode(bytes(self.items[index]))
        # Checked again here: a link may have changed since the folder was listed.
        if "links" not in self.origin and not path.resolve().is_relative_to(root):
            raise DataError(
                f"an image must be inside its data set's folder, but {self.name(index)!r} "
                "is a link to a file outside of it; copy the image, or set data.follow_links: true"
            )
        if not path.is_file():
            raise DataError(f"an image must be a file, but {str(path)!r} is not; restore it")
        return path


@dataclass(frozen=True, kw_only=True)
class ArrayPictures(Pictures):
    """Images in one array: `items` are uint8, [images, height, width, channels]."""

    complete: ClassVar[bool] = True

    @classmethod
    def of(cls, images: NDArray[np.uint8], name: str) -> Self:
        """Create from an array, [images, height, width, channels]; messages contain `name`."""
        return cls(items=images, channels=images.shape[-1], origin={"name": name})

    def name(self, index: int) -> str:
        return f"image {index} of {self.origin['name']}"

    def open(self, index: int, *, least: int | None = None) -> Image.Image:
        pixels = self.items[index]
        return Image.fromarray(pixels[:, :, 0] if self.channels == 1 else pixels)
