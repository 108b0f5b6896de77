"""Decoding of every image of a part, to find damaged images and the moments of the pixels."""

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
from search.progress import Step, no_step

Progress = Callable[[str], None]

_CHUNK = 64
_MOST_THREADS = 16
_SECONDS_BETWEEN_REPORTS = 5.0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The result of decoding a part.

    Attributes:
        sound: whether each image is undamaged, [images].
        digests: the sha256 of the resized pixels of each undamaged image.
        sums: the sum of each channel's values over the undamaged images, [channels], int64.
        squares: the sum of the squares of these values, [channels], int64.
        damaged: the names of the damaged images.
        reasons: the error message of each damaged image.
        pixels: the undamaged images, [undamaged, channels, size, size]; None if not requested.
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
    """The results for up to 64 successive images."""

    digests: list[bytes]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    reasons: dict[int, str]


def scan(
    pictures: Pictures,
    size: int,
    *,
    keep: bool,
    progress: Progress,
    what: str,
    step: Step = no_step,
) -> Scan:
    """Decode all images, in several threads if their kind supports that.

    Args:
        pictures: the images.
        size: the side in pixels to which images are cropped and resized.
        keep: whether to return the pixels.
        progress: called every few seconds with the number of decoded images.
        what: the part's name, for these messages.
        step: called often with the number of decoded images.
    """
    shape = (len(pictures), pictures.channels, size, size)
    pixels = np.empty(shape, dtype=np.uint8) if keep else None
    chunks = list(_scanned(pictures, size, pixels, progress, what, step))
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
    pictures: Pictures,
    size: int,
    pixels: Pixels | None,
    progress: Progress,
    what: str,
    step: Step,
) -> Iterator[_Chunk]:
    """Yield chunks in order. Threads are useful, since Pillow releases the GIL while it decodes."""
    threads = min(os.cpu_count() or 1, _MOST_THREADS) if pictures.parallel else 1
    starts = range(0, len(pictures), _CHUNK)
    reported_at, images = time.monotonic(), len(pictures)
    pool = ThreadPoolExecutor(threads)
    try:
        chunks = pool.map(lambda start: _scan_chunk(pictures, size, pixels, start), starts)
        for done, chunk in zip(count(_CHUNK, _CHUNK), chunks, strict=False):
            step(f"preparing {what} images: {min(done, images):,} of {images:,}")
            if time.monotonic() - reported_at > _SECONDS_BETWEEN_REPORTS:
                reported_at = time.monotonic()
                progress(f"decoded {min(done, images)} of {images} {what} images")
            yield chunk
    finally:
        # After Ctrl-C, the chunks that wait must not be decoded first.
        pool.shutdown(cancel_futures=True)


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
    """Sum values and squares as integers, so that the order of the images does not matter."""
    values = np.arange(256)
    counted = np.zeros((channels, 256), dtype=np.int64)
    for image in images:
        for channel in range(channels):
            counted[channel] += np.bincount(image[channel].ravel(), minlength=256)
    return counted @ values, counted @ values**2
