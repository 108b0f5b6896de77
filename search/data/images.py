"""Conversion of one image, from a file or an array, to the square of pixels for networks.

A user of an exported model must repeat these steps: decode the image, convert it to grey or RGB,
crop the largest centred square, and resize it bilinearly with antialiasing (Pillow's `BILINEAR`).
`Resize(size)` and `CenterCrop(size)` give the same within less than a pixel. As in timm and
torchvision, transparency and EXIF orientation are not applied.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.views import Crop
from search.errors import DataError

# Bump it when the decoding, the crop or the resizing of an image changes.
VERSION = 1
Pixels = NDArray[np.uint8]

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)

# No other formats: for an EPS file, for example, Pillow would run Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MOST_PIXELS = 2**26

# The errors that Pillow's decoders raise for damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def load_image(path: Path, size: int, channels: int) -> Pixels:
    """Load an image file as a network input, [channels, size, size].

    Args:
        path: the file.
        size: the side of the square, in pixels.
        channels: 1 or 3.

    Raises:
        DataError: the file is not an image, or is damaged.
    """
    return square(decode(path, channels, name=str(path)), size)


def decode(file: Path | BinaryIO, channels: int, *, name: str) -> Image.Image:
    """Return the first frame of an image file, in mode L (1 channel) or RGB (3).

    Palettes, CMYK and 16 bits are converted. 16-bit greys are scaled, while Pillow would clip them.

    Raises:
        DataError: the file is not an image, is damaged, or has more than 2²⁶ pixels.
    """
    with must_be_sound(name), Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(
                f"it must have at most {_MOST_PIXELS} pixels, but has {image.width}×{image.height}"
            )
        return converted(image, "L" if channels == 1 else "RGB")


@contextmanager
def must_be_sound(name: str) -> Iterator[None]:
    """Raise DataError, with the image's name, for any error of a damaged image in the block."""
    try:
        yield
    except _DAMAGE as error:
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
    box = _box(image.width, image.height, crop or Crop(1, 1, 0, 0, flip=False))
    if image.size != (size, size) or box != (0, 0, size, size):
        # Resize only the box: the whole of a 1×100,000 image would be huge.
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1)
    if crop is not None and crop.flip:
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels)


def converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image of any mode to mode L or RGB.

    Raises:
        ValueError: the range of its values is unknown.
    """
    if image.mode == "F":
        raise ValueError("its values must have a known range, but are floats")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def printable(name: str) -> str:
    """Return a file's name as valid UTF-8 text: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its values must have 8 or 16 bits, but have 32")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65535 to 255


def _box(width: int, height: int, crop: Crop) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the crop in pixels, moved inside the image."""
    shorter = min(width, height)
    across, along = shorter * crop.width, shorter * crop.height
    # Integer pixels, since a crop at half a pixel would blur the image.
    left = int(min(max((width - across) / 2 + crop.right * width, 0), width - across))
    top = int(min(max((height - along) / 2 + crop.down * height, 0), height - along))
    return left, top, left + across, top + along
