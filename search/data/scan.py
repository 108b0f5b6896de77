"""Decoding of every image of a part, to find damaged images and the moments of the pixels."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.data.images import Pixels, square
from search.data.part_writer import PartWriter
from search.errors import DataError
from search.progress import Step, no_step

Progress = Callable[[str], None]

_CHUNK_BYTES = 8 * 2**20
_CHUNKS_AHEAD = 2
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
    """

    sound: NDArray[np.bool_]
    digests: list[bytes]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    damaged: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Where a scan reports its progress.

    Attributes:
        progress: called every few seconds with the number of decoded images.
        step: called often with this number.
    """

    progress: Progress
    step: Step = no_step

    def __call__(self, done: int, images: int, what: str, *, in_full: bool) -> None:
        """Report that `done` of the part's images are decoded."""
        self.step(f"preparing {what} images: {done:,} of {images:,}")
        if in_full:
            self.progress(f"decoded {done} of {images} {what} images")


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """The results for some successive images; `contents` are what is stored of them."""

    images: int
    digests: list[bytes]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    reasons: dict[int, str]
    contents: list[memoryview]


def scan(writer: PartWriter, size: int, *, threads: int, reports: Reports) -> Scan:
    """Decode all images of a part, and give them to its writer.

    Only a few images are in memory at a time.

    Args:
        writer: the writer of the part; its images are decoded.
        size: the side in pixels to which images are cropped and resized.
        threads: the number of threads, if the kind of the images supports several.
        reports: receives the progress.
    """
    pictures = writer.pictures
    found: list[_Chunk] = []
    done, reported_at = 0, time.monotonic()
    for chunk in _scanned(writer, size, threads if pictures.parallel else 1):
        writer.append(chunk.contents)
        chunk.contents.clear()
        found.append(chunk)
        done += chunk.images
        in_full = time.monotonic() - reported_at > _SECONDS_BETWEEN_REPORTS
        reported_at = time.monotonic() if in_full else reported_at
        reports(done, len(pictures), writer.part, in_full=in_full)
    reasons = {index: text for chunk in found for index, text in chunk.reasons.items()}
    sound = np.ones(len(pictures), dtype=bool)
    sound[list(reasons)] = False
    zero = np.zeros(pictures.channels, dtype=np.int64)
    return Scan(
        sound=sound,
        digests=[digest for chunk in found for digest in chunk.digests],
        sums=sum((chunk.sums for chunk in found), zero),
        squares=sum((chunk.squares for chunk in found), zero),
        damaged=tuple(pictures.name(index) for index in reasons),
        reasons=tuple(reasons.values()),
    )


def _scanned(writer: PartWriter, size: int, threads: int) -> Iterator[_Chunk]:
    """Yield chunks in order. Threads are useful, since Pillow releases the GIL while it decodes."""
    images = len(writer.pictures)
    chunk = max(1, min(writer.most_at_once, _CHUNK_BYTES // (writer.pictures.channels * size**2)))
    waiting: deque[Future[_Chunk]] = deque()
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        for start in range(0, images, chunk):
            indices = range(start, min(start + chunk, images))
            waiting.append(pool.submit(_scan_chunk, writer, size, indices))
            if len(waiting) > _CHUNKS_AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # After Ctrl-C, the chunks that wait must not be decoded first.
        pool.shutdown(cancel_futures=True)


def _scan_chunk(writer: PartWriter, size: int, indices: Sequence[int]) -> _Chunk:
    pixels, contents, reasons = [], [], {}
    for index in indices:
        try:
            image = writer.pictures.open(index)
            resized = square(image, size)
            content = writer.content(index, image, resized)
        except DataError as error:
            reasons[index] = str(error)
            continue
        pixels.append(resized)
        contents.append(content)
    digests = [hashlib.sha256(image.data).digest() for image in pixels]
    sums, squares = _moments(pixels, writer.pictures.channels)
    return _Chunk(
        images=len(indices),
        digests=digests,
        sums=sums,
        squares=squares,
        reasons=reasons,
        contents=contents,
    )


def _moments(images: list[Pixels], channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum values and squares as integers, so that the order of the images does not matter."""
    values = np.arange(256)
    counted = np.zeros((channels, 256), dtype=np.int64)
    for image in images:
        for channel in range(channels):
            counted[channel] += np.bincount(image[channel].ravel(), minlength=256)
    return counted @ values, counted @ values**2
