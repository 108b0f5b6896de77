"""Conversion of one image, from a file or an array, to the square of pixels for networks.

`search.data.preprocess` defines how an image is read. This module adds what only retort needs:
errors that name the image, and the crops of views.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import ceil, floor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from search.data import preprocess
from search.data.views.crop import Crop
from search.errors import DataError

# Bump it when the decoding, the crop or the resizing of an image changes.
VERSION = 3
Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right and bottom
_JPEG = b"\xff\xd8\xff"
# In an image's `info`: the size of which its own size is a half, a quarter or an eighth.
_FULL_SIZE = "full size"
_ON_THEIR_SIDES = (5, 6, 7, 8)  # EXIF's orientations with width and height swapped


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


def decode(
    file: Path | BinaryIO, channels: int, *, name: str, least: int | None = None
) -> Image.Image:
    """Return the first frame of an image file, upright, in mode L (1 channel) or RGB (3).

    Args:
        file: the file.
        channels: 1 or 3.
        name: the image's name, for the message.
        least: the length of the shorter side that suffices, in pixels. A larger JPEG is decoded at
            a half, a quarter or an eighth of its size. None: at its own size.

    Raises:
        DataError: the file is not an image, is damaged, or has too many pixels.
    """
    with must_be_sound(name):
        return preprocess.read(file, channels) if least is None else _smaller(file, channels, least)


def size_of(path: Path, *, name: str) -> tuple[int, int]:
    """Return the width and height of an image file, without decoding it.

    Raises:
        DataError: the file is not an image, or is damaged.
    """
    with must_be_sound(name), path.open("rb") as stream, _opened(stream) as image:
        return image.size


def _smaller(file: Path | BinaryIO, channels: int, least: int) -> Image.Image:
    with ExitStack() as stack:
        stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
        image = stack.enter_context(_opened(stream))
        full = image.size
        if not isinstance(image, JpegImageFile):
            return preprocess.upright(image, channels)
        if (times := min(full) // least) > 1:
            # Pillow takes the largest of 8, 4 and 2 that is not above `times`.
            image.draft(None, (image.width // times, image.height // times))
        full = full[::-1] if preprocess.orientation(image) in _ON_THEIR_SIDES else full
        found = preprocess.upright(image, channels)  # halves a huge one once more
    found.info[_FULL_SIZE] = full
    return found


def _opened(stream: BinaryIO) -> Image.Image:
    """Open an image without decoding it; preparation has refused those with too many pixels."""
    is_jpeg = stream.read(len(_JPEG)) == _JPEG
    stream.seek(0)
    # `Image.open` refuses a JPEG by its size before it can be decoded at a part of its size.
    return JpegImageFile(stream) if is_jpeg else Image.open(stream, formats=preprocess.FORMATS)


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
    full = image.info.get(_FULL_SIZE, image.size)
    left, top, across, along = crop.box(*full)
    x, y = image.width / full[0], image.height / full[1]  # below 1 after a decoding at a part
    edges = left * x, top * y, (left + across) * x, (top + along) * y
    outer = floor(edges[0]), floor(edges[1]), ceil(edges[2]), ceil(edges[3])
    image, (left, top) = _with_reflected_edges(image, outer)
    box = edges[0] - left, edges[1] - top, edges[2] - left, edges[3] - top
    pixels = preprocess.square(image, size, box)
    return np.ascontiguousarray(pixels[:, :, ::-1]) if crop.flip else pixels


def printable(name: str) -> str:
    """Return a file's name as valid UTF-8 text: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _with_reflected_edges(image: Image.Image, box: Box) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image that contains the whole box, and the place of its left upper corner.

    Args:
        image: the image.
        box: left, top, right and bottom; these need not be in the image.
    """
    left, top, right, bottom = box
    inner = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    if inner == box:
        return image, (0, 0)
    outside = max(inner[0] - left, right - inner[2]), max(inner[1] - top, bottom - inner[3])
    if outside[0] < image.width and outside[1] < inner[3] - inner[1]:
        return _mirrored(image, box, inner), (left, top)
    rows = _reflected(np.arange(top, bottom), image.height)
    columns = _reflected(np.arange(left, right), image.width)
    pixels = np.asarray(image)[rows[:, None], columns]
    return Image.fromarray(pixels), (left, top)


def _mirrored(image: Image.Image, box: Box, inner: Box) -> Image.Image:
    """Return a box of an image, of which less is beyond the image than within it.

    Pillow copies and turns whole strips, ten times faster than NumPy gathers pixels.
    """
    left, top, right, bottom = box
    found = Image.new(image.mode, (right - left, bottom - top))
    first, last = inner[1] - top, inner[3] - top  # rows
    found.paste(image.crop(inner), (inner[0] - left, first))
    aside, over = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM
    if left < 0:
        strip = image.crop((1, inner[1], 1 - left, inner[3]))
        found.paste(strip.transpose(aside), (0, first))
    if right > image.width:
        strip = image.crop((2 * image.width - 1 - right, inner[1], image.width - 1, inner[3]))
        found.paste(strip.transpose(aside), (image.width - left, first))
    # The strips above and below contain those at the sides.
    if first:
        strip = found.crop((0, first + 1, found.width, 2 * first + 1))
        found.paste(strip.transpose(over), (0, 0))
    if beyond := found.height - last:
        strip = found.crop((0, last - 1 - beyond, found.width, last - 1))
        found.paste(strip.transpose(over), (0, last))
    return found


def _reflected(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return places inside a side for places that may lie up to a side beyond it."""
    if side == 1:
        return np.zeros_like(places)
    places = np.abs(places)  # reflection at the first edge
    within: NDArray[np.int64] = np.abs((side - 1) - np.abs((side - 1) - places))  # at the last edge
    return within
