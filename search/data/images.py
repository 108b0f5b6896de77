"""Conversion of one image, from a file or an array, to the square of pixels for networks.

`search.data.preprocess` defines how an image is read. This module adds what only retort needs:
errors that name the image, and the crops of views.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data import preprocess
from search.data.views.crops import Box, Crop
from search.errors import DataError

# Bump it when the decoding, the crop or the resizing of an image changes.
VERSION = 3
Pixels = NDArray[np.uint8]


def load_image(path: Path, size: int, channels: int) -> Pixels:
    """Load an image file as a network input, [channels, size, size].

    Args:
        path: the file.
        size: the side of the square, in pixels.
        channels: 1 or 3.

    Raises:
        DataError: the file is not an image, is damaged, or has too many pixels.
    """
    return square(decode(path, channels, name=str(path)), size)


def decode(file: Path | BinaryIO, channels: int, *, name: str) -> Image.Image:
    """Return the first frame of an image file, upright, in mode L (1 channel) or RGB (3).

    Raises:
        DataError: the file is not an image, is damaged, or has too many pixels.
    """
    with must_be_sound(name):
        return preprocess.read(file, channels)


@contextmanager
def must_be_sound(name: str) -> Iterator[None]:
    """Raise DataError, with the image's name, for any error of a damaged image in the block."""
    try:
        yield
    except preprocess.DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"an image must be undamaged, but {name!r} is not ({reason}); repair or remove it"
        ) from error


def square(image: Image.Image, size: int, crop: Crop | None = None) -> Pixels:
    """Crop an image and resize the crop to a square, [channels, size, size].

    Args:
        image: in mode L or RGB.
        size: the side of the result, in pixels.
        crop: the crop; None is the largest centred square.
    """
    if crop is None:
        return preprocess.square(image, size)
    image, box = _with_reflected_edges(image, crop.box(image.width, image.height))
    left, top, across, along = box
    pixels = preprocess.square(image, size, (left, top, left + across, top + along))
    return np.ascontiguousarray(pixels[:, :, ::-1]) if crop.flip else pixels


def printable(name: str) -> str:
    """Return a file's name as valid UTF-8 text: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _with_reflected_edges(image: Image.Image, box: Box) -> tuple[Image.Image, Box]:
    """Return an image that contains the whole box, and the box in that image."""
    left, top, across, along = box
    right, bottom = left + across, top + along
    if min(left, top) >= 0 and right <= image.width and bottom <= image.height:
        return image, box
    rows = _reflected(np.arange(top, bottom), image.height)
    columns = _reflected(np.arange(left, right), image.width)
    pixels = np.asarray(image)[rows[:, None], columns]
    return Image.fromarray(pixels), (0, 0, across, along)


def _reflected(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return places inside a side for places that may lie up to a side beyond it."""
    if side == 1:
        return np.zeros_like(places)
    places = np.abs(places)  # reflection at the first edge
    within: NDArray[np.int64] = np.abs((side - 1) - np.abs((side - 1) - places))  # at the last edge
    return within
