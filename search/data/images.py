"""One image: from a file, or an array, to the square of pixels that networks take.

A user of an exported model must repeat these steps: decode, convert to grey or RGB,
cut the largest centred square, resize it bilinearly with antialiasing (PIL's `BILINEAR`, which is
`Resize(size)` and `CenterCrop(size)` but for less than a pixel). As in timm and torchvision,
transparency and EXIF orientation are not applied.
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

# Bump it when an image is decoded, cut or resized otherwise.
VERSION = 1
Pixels = NDArray[np.uint8]

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)

# No other formats: to open an EPS file, for example, Pillow would run Ghostscript on it.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MOST_PIXELS = 2**26

# Errors that Pillow raises for damaged files, beside OSError; found in its decoders.
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
    """Return an image file as networks take it, [channels, size, size].

    Args:
        path: the file.
        size: side of the square, in pixels.
        channels: 1 or 3.

    Raises:
        DataError: the file is no sound image.
    """
    return square(decode(path, channels, name=str(path)), size)


def decode(file: Path | BinaryIO, channels: int, *, name: str) -> Image.Image:
    """Return the first frame of an image file, in mode L (1 channel) or RGB (3).

    Palettes, CMYK, and 16 bits are converted; 16-bit greys are scaled, where Pillow would clip.

    Raises:
        DataError: the file is no sound image, or larger than 2²⁶ pixels.
    """
    with must_be_sound(name), Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width}×{image.height} pixels, above {_MOST_PIXELS}")
        return converted(image, "L" if channels == 1 else "RGB")


@contextmanager
def must_be_sound(name: str) -> Iterator[None]:
    """Raise DataError for any other error about the image of that name."""
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"an image must be sound, but {name!r} is not ({reason}); repair or remove it"
        ) from error


def square(image: Image.Image, size: int, crop: Crop | None = None) -> Pixels:
    """Return a square of the image, resized, [channels, size, size].

    Args:
        image: in mode L or RGB.
        size: side of the result, in pixels.
        crop: the part to cut; None is the largest centred square.
    """
    box = _box(image.width, image.height, crop or Crop(1, 1, 0, 0, flip=False))
    if image.size != (size, size) or box != (0, 0, size, size):
        # Only the box is resized, never all of a 1×100,000 image.
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1)
    if crop is not None and crop.flip:
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels)


def converted(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in mode L or RGB, whatever its mode is.

    Raises:
        ValueError: its values have no known range.
    """
    if image.mode == "F":
        raise ValueError("its values are floats, whose range is unknown")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def printable(name: str) -> str:
    """Return a file's name as text for any store and terminal: bytes outside UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its values have 32 bits, whose range is unknown")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65535 to 255


def _box(width: int, height: int, crop: Crop) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the crop, in pixels, inside the image."""
    shorter = min(width, height)
    across, along = shorter * crop.width, shorter * crop.height
    # Whole pixels, so that cutting alone does not blur an image by half a pixel.
    left = int(min(max((width - across) / 2 + crop.right * width, 0), width - across))
    top = int(min(max((height - along) / 2 + crop.down * height, 0), height - along))
    return left, top, left + across, top + along
