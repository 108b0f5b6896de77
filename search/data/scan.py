"""One decoding of every image of a part: which are damaged, and the moments of the pixels."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from search.data.images import Pixels, square
from search.data.pictures import Pictures
from search.errors import DataError

Progress = Callable[[str], None]

_CHUNK = 64
_MOST_THREADS = 16
_SECONDS_BETWEEN_NEWS = 5.0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The result of decoding a part.

    Attributes:
        sound: whether each image could be decoded, [images].
        digests: sha256 of the pixels of each sound image, at the size asked for.
        sums: of each channel's values over the sound images, [channels], int64.
        squares: of their squares.
        damaged: names of the images that could not be decoded.
        reasons: the messages that explain why.
        pixels: the sound images, [sound, channels, size, size]; None where not asked for.
    """

    sound: NDArray[np.bool_]
    digests: list[bytes]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    damaged: tuple[str, ...]
    reasons: tuple[str, ...]
    pixels: Pixels | None


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """The results for a few neighbouring images."""

    digests: list[bytes]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    reasons: dict[int, str]


def scan(pictures: Pictures, size: int, *, keep: bool, progress: Progress, what: str) -> Scan:
    """Decode all images, in threads where their kind allows.

    Args:
        pictures: the images.
        size: side in pixels to which they are cut and resized.
        keep: whether to return the pixels.
        progress: is told every few seconds how many images are decoded.
        what: the part's name, for these messages.
    """
    shape = (len(pictures), pictures.channels, size, size)
    pixels = np.empty(shape, dtype=np.uint8) if keep else None
    chunks = list(_scanned(pictures, size, pixels, progress, what))
    reasons = {index: text for chunk in chunks for index, text in chunk.reasons.items()}
    sound = np.ones(len(pictures), dtype=bool)
    sound[list(reasons)] = False
    zero = np.zeros(pictures.channels, dtype=np.int64)
    return Scan(
        sound=sound,
        digests=[digest for chunk in chunks for digest in chunk.digests],
        sums=sum((chunk.sums for chunk in chunks), zero),
        squares=sum((chunk.squares for chunk in chunks), zero),
        damaged=tuple(pictures.name(index) for index in reasons),
        reasons=tuple(reasons.values()),
        pixels=pixels if pixels is None or sound.all() else pixels[sound],
    )


def _scanned(
    pictures: Pictures, size: int, pixels: Pixels | None, progress: Progress, what: str
) -> Iterator[_Chunk]:
    """Yield chunks in order; Pillow releases Python's lock while it decodes, so threads help."""
    threads = min(os.cpu_count() or 1, _MOST_THREADS) if pictures.parallel else 1
    starts = range(0, len(pictures), _CHUNK)
    told = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        chunks = pool.map(lambda start: _scan_chunk(pictures, size, pixels, start), starts)
        for done, chunk in zip(count(_CHUNK, _CHUNK), chunks, strict=False):
            if time.monotonic() - told > _SECONDS_BETWEEN_NEWS:
                told = time.monotonic()
                progress(f"decoded {min(done, len(pictures))} of {len(pictures)} {what} images")
            yield chunk


def _scan_chunk(pictures: Pictures, size: int, pixels: Pixels | None, start: int) -> _Chunk:
    indices = range(start, min(start + _CHUNK, len(pictures)))
    images, reasons = [], {}
    for index in indices:
        try:
            image = square(pictures.open(index), size)
        except DataError as error:
            reasons[index] = str(error)
            continue
        images.append(image)
        if pixels is not None:
            pixels[index] = image
    digests = [hashlib.sha256(image.data).digest() for image in images]
    sums, squares = _moments(images, pictures.channels)
    return _Chunk(digests=digests, sums=sums, squares=squares, reasons=reasons)


def _moments(images: list[Pixels], channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum values and squares, in whole numbers, so that the order of addition does not matter."""
    values = np.arange(256)
    counted = np.zeros((channels, 256), dtype=np.int64)
    for image in images:
        for channel in range(channels):
            counted[channel] += np.bincount(image[channel].ravel(), minlength=256)
    return counted @ values, counted @ values**2
