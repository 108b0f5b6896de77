"""Writers of a part's images, which append one image after another, so that none stay in memory."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from search.data.images import Pixels
from search.data.pictures import Pictures
from search.data.shards import ShardPictures, ShardWriter, is_large, reduced, shards_of, unchanged
from search.data.stored_part import Placement, StoredPart
from search.files.arrays import ArrayWriter

PIXELS_FILE = "{part}_pixels.npy"


class PartWriter(ABC):
    """Writer of the images of one part.

    Args:
        folder: the folder of the prepared data set.
        part: the part's name.
        pictures: the images, damaged ones included.
    """

    placement: Placement
    most_at_once: ClassVar[int] = 64
    """The number of images that a thread decodes before they are appended."""

    def __init__(self, folder: Path, part: str, pictures: Pictures) -> None:
        self.folder = folder
        self.part = part
        self.pictures = pictures

    @abstractmethod
    def content(self, index: int, image: Image.Image, pixels: Pixels) -> memoryview:
        """Return the bytes that are stored of an image. Several threads call it.

        Args:
            index: the image's index.
            image: the image, decoded at its own size.
            pixels: the resized image, [channels, size, size].
        """

    @abstractmethod
    def append(self, contents: Sequence[memoryview]) -> None:
        """Append the bytes of the next undamaged images."""

    @abstractmethod
    def finish(self, sound: Pictures) -> Pictures:
        """Finish the files; return the stored images.

        Args:
            sound: the undamaged images.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all files."""

    @abstractmethod
    def stored(self, images: int) -> StoredPart:
        """Describe what has been written."""


class PixelWriter(PartWriter):
    """Writer of resized pixels, [images, channels, size, size]."""

    placement = Placement.PIXELS

    def __init__(self, folder: Path, part: str, pictures: Pictures, *, size: int) -> None:
        super().__init__(folder, part, pictures)
        self._path = folder / PIXELS_FILE.format(part=part)
        self._file = ArrayWriter(self._path, (pictures.channels, size, size), np.uint8)

    def content(self, index: int, image: Image.Image, pixels: Pixels) -> memoryview:
        return pixels.data

    def append(self, contents: Sequence[memoryview]) -> None:
        for content in contents:
            self._file.append(content)

    def finish(self, sound: Pictures) -> Pictures:
        self._file.finish()
        return sound

    def close(self) -> None:
        self._file.close()

    def stored(self, images: int) -> StoredPart:
        size = self._path.stat().st_size
        return StoredPart(placement=self.placement, bytes=size, images=images)


class ItemWriter(PartWriter):
    """Writer of nothing but the items of pictures: the locations of files, or a whole array."""

    def __init__(self, folder: Path, part: str, pictures: Pictures) -> None:
        super().__init__(folder, part, pictures)
        self.placement = Placement.ARRAY if pictures.complete else Placement.ORIGINALS
        self._bytes = 0

    def content(self, index: int, image: Image.Image, pixels: Pixels) -> memoryview:
        return memoryview(b"")

    def append(self, contents: Sequence[memoryview]) -> None:
        pass

    def finish(self, sound: Pictures) -> Pictures:
        self._bytes = sound.items.nbytes if sound.complete else 0
        return sound

    def close(self) -> None:
        pass

    def stored(self, images: int) -> StoredPart:
        return StoredPart(placement=self.placement, bytes=self._bytes, images=images)


class ShardedWriter(PartWriter):
    """Writer of shards; with a side, large photos are reduced to it."""

    most_at_once = 4  # whole files, which may have megabytes each

    def __init__(self, folder: Path, part: str, pictures: Pictures, *, side: int | None) -> None:
        super().__init__(folder, part, pictures)
        self.placement = Placement.COPIES if side is None else Placement.REDUCED
        self._side = side
        self._shards = ShardWriter(folder, part)
        self._reduced: set[int] = set()

    def content(self, index: int, image: Image.Image, pixels: Pixels) -> memoryview:
        if self._side is not None and is_large(image.size, self._side):
            self._reduced.add(index)  # one thread at a time: the interpreter's lock
            return memoryview(reduced(image, self._side))
        return memoryview(unchanged(self.pictures, index, image))

    def append(self, contents: Sequence[memoryview]) -> None:
        for content in contents:
            self._shards.append(content)

    def finish(self, sound: Pictures) -> Pictures:
        self.close()
        origin = {"folder": str(self.folder), "part": self.part}
        return ShardPictures(items=self._shards.items(), channels=sound.channels, origin=origin)

    def close(self) -> None:
        self._shards.close()

    def stored(self, images: int) -> StoredPart:
        size = sum(path.stat().st_size for path in shards_of(self.folder, self.part))
        return StoredPart(
            placement=self.placement, bytes=size, images=images, reduced=len(self._reduced)
        )
