"""Images of the data sets that timm can read. timm itself is imported when one is opened."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, BinaryIO, ClassVar

from PIL import Image

from search.data.images import decode, must_be_sound
from search.data.pictures import Pictures
from search.data.preprocess import read as read_image
from search.data.preprocess import upright
from search.errors import DataError


@dataclass(frozen=True, kw_only=True)
class TimmPictures(Pictures):
    """Images of a timm reader; `items` are their indices in it, [images], int64."""

    parallel: ClassVar[bool] = False  # readers of archives share one file handle

    @cached_property
    def _images(self) -> Any:
        images = open_split(**self.origin)
        if hasattr(images, "loader"):  # torchvision's own converts every image by `convert("RGB")`
            images.loader = partial(read_image, channels=self.channels)
        return images

    def name(self, index: int) -> str:
        return f"image {self.items[index]} of {self.origin['name']}, {self.origin['split']}"

    def open(self, index: int, *, least: int | None = None) -> Image.Image:
        place = int(self.items[index])
        if not hasattr(self._images, "reader"):  # torchvision's data sets return decoded images
            with must_be_sound(self.name(index)):
                return upright(self._images[place][0], self.channels)
        with self._file(index) as file:
            return decode(file, self.channels, name=self.name(index), least=least)

    def content(self, index: int) -> bytes | None:
        if not hasattr(self._images, "reader"):
            return None
        with self._file(index) as file:
            return bytes(file.read())

    def _file(self, index: int) -> BinaryIO:
        # Not `self._images[place]`: for a damaged image, it silently returns the next one.
        with must_be_sound(self.name(index)):
            file, *_ = self._images.reader[int(self.items[index])]
        return file  # type: ignore[no-any-return]


def open_split(*, name: str, root: str, split: str) -> Any:
    """Open one split as timm's data set object.

    Raises:
        DataError: timm can't open it.
    """
    from timm.data.dataset_factory import create_dataset  # slow to import

    try:
        return create_dataset(name=name, root=root or None, split=split, download=False)
    except (OSError, ValueError, RuntimeError, AssertionError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}".strip()
        raise DataError(
            f"timm must find the data set, but {name!r} (split {split!r}, path {root!r}) could "
            f"not be opened ({reason[:300]}); check data.name and data.path, and, if this machine "
            "has no network, download it elsewhere and set data.path to its folder"
        ) from error
