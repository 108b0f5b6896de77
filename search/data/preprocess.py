"""Conversion of an image file to a network's input. It needs only NumPy and Pillow.

    from preprocess import decoded, labels, preprocess

    preprocess("image.png")  # the input of the network: float32, [1, channels, size, size]
    decoded("image.png")     # the same image as pixels: uint8, [height, width, channels]
    labels()                 # the names of the classes, in the order of the network's outputs

retort reads every image by this file: for training, evaluation and prediction. An exported folder
contains a copy of it, which reads the size and the normalisation from recipe.json beside it.

1. Decode the first frame. A JPEG of more than 2²⁶ pixels is decoded at half its size.
2. Scale a grey image of 16 bits to 8 bits: 65535 becomes 255.
3. Put a transparent image on white, so that its colours under alpha 0 have no effect.
4. Convert it to grey or RGB, also from CMYK and from a palette.
5. Turn it as its EXIF orientation says.
6. Crop the largest centred square, and resize it bilinearly with antialiasing.
7. Scale the pixels to 0..1, subtract the mean of each channel, and divide by its deviation.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

MOST_PIXELS = 2**26
"""The most pixels of an image that is decoded as it is."""

MOST_JPEG_PIXELS = 2**28
"""The most pixels of a JPEG; half its size is at most `MOST_PIXELS`."""

DAMAGE = (
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
"""The errors that Pillow raises for damaged files."""

ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""

# No other formats: for an EPS file, for example, Pillow would run Ghostscript.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
_JPEG = b"\xff\xd8\xff"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = 255
_FOLDER = Path(__file__).parent


def preprocess(path: str | os.PathLike[str], folder: Path = _FOLDER) -> NDArray[np.float32]:
    """Return an image file as the network's input, [1, channels, size, size].

    Args:
        path: the image file.
        folder: the exported folder.

    Raises:
        OSError, ValueError: the file is not an image, is damaged, or has too many pixels. Pillow
            raises further errors for damaged files, see `DAMAGE`.
    """
    data = _data(folder)
    pixels = square(read(path, data["channels"]), data["image_size"])
    return normalized(pixels, data["mean"], data["std"])[None]


def decoded(path: str | os.PathLike[str], folder: Path = _FOLDER) -> NDArray[np.uint8]:
    """Return the pixels of an image file, [height, width, channels], neither cropped nor resized.

    A batch of one such image, `decoded(path)[None]`, is the input of model.uint8.onnx.
    """
    image = read(path, _data(folder)["channels"])
    return np.asarray(image).reshape(image.height, image.width, -1)


def labels(folder: Path = _FOLDER) -> list[str]:
    """Return the names of the classes, in the order of the network's outputs."""
    return [str(name) for name in _data(folder)["classes"]]


def read(file: str | os.PathLike[str] | BinaryIO, channels: int) -> Image.Image:
    """Return the first frame of an image file, upright, in mode L (1 channel) or RGB (3)."""
    with _opened(file) as image:
        return upright(image, channels)


def upright(image: Image.Image, channels: int) -> Image.Image:
    """Return an image of any mode upright, in mode L (1 channel) or RGB (3).

    Args:
        image: the image. If Pillow has opened it but not decoded it yet, it is decoded.
        channels: 1 or 3.

    Raises:
        ValueError: the range of its values is unknown.
    """
    if image.width * image.height > MOST_PIXELS:
        image.draft(None, (image.width // 2, image.height // 2))  # only a JPEG changes
    image.load()
    turn = _TURNS.get(orientation(image))  # after `load`, which turns a TIFF by itself
    if image.mode == "F":
        raise ValueError("its values must have a known range, but are floats")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.getbands()[-1] in ("A", "a") or "transparency" in image.info:
        image = _on_white(image)
    image = image.convert("L" if channels == 1 else "RGB")
    image.info.clear()  # so that a second call turns nothing
    return image if turn is None else image.transpose(turn)


def square(
    image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> NDArray[np.uint8]:
    """Crop an image and resize the crop to a square, [channels, size, size].

    Args:
        image: in mode L or RGB.
        size: the side of the result, in pixels.
        box: left, top, right and bottom of the crop; None is the largest centred square.
    """
    if box is None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
    if image.size != (size, size) or box != (0, 0, size, size):
        # Resize only the box: the whole of a 1×100,000 image would be huge.
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1))


def normalized(
    pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """Scale pixels [channels, size, size] to 0..1, subtract the mean, and divide by the std."""
    center, spread = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (mean, std))
    return (pixels.astype(np.float32) / np.float32(255) - center) / spread


@contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO) -> Iterator[Image.Image]:
    """Open an image file without decoding it; refuse one with too many pixels."""
    with ExitStack() as stack:
        if isinstance(file, (str, os.PathLike)):
            stream: BinaryIO = stack.enter_context(Path(file).open("rb"))
        else:
            stream = file
        stream.seek(0)
        is_jpeg = stream.read(len(_JPEG)) == _JPEG
        stream.seek(0)
        # `Image.open` refuses a JPEG by its size before it can be decoded at half its size.
        opened = JpegImageFile(stream) if is_jpeg else Image.open(stream, formats=FORMATS)
        image: Image.Image = stack.enter_context(opened)
        most = MOST_JPEG_PIXELS if is_jpeg else MOST_PIXELS
        if image.width * image.height > most:
            size = f"{image.width}×{image.height}"
            raise ValueError(f"it must have at most {most} pixels, but has {size}")
        yield image


def orientation(image: Image.Image) -> Any:
    """Return the EXIF orientation; 1, which is upright, if there is none or EXIF is damaged."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale the values of a grey image from 16 bits to 8; the transparent value becomes white."""
    values = np.asarray(image).astype(np.int32)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its values must have 8 or 16 bits, but have 32")
    grey = ((values + 128) // 257).astype(np.uint8)
    if (transparent := image.info.get("transparency")) is not None:
        grey[values == transparent] = _WHITE
    return Image.fromarray(grey)


def _on_white(image: Image.Image) -> Image.Image:
    background = Image.new("RGBA", image.size, (_WHITE,) * 4)
    return Image.alpha_composite(background, image.convert("RGBA"))


def _data(folder: Path) -> dict[str, Any]:
    """Return the description of the network's training images in recipe.json."""
    data: dict[str, Any] = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["data"]
    return data
