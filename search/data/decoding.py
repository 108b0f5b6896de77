"""Decoding of one image for a view, and the process that decodes images for another process.

A decoding process imports neither torch nor timm, so that it starts in a fraction of a second and
needs little memory. It reads requests from its standard input, and writes for each image a status
and its pixels, or the message of an error. It ends when its standard input is closed, which also
happens when the process that started it is killed.
"""

import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from search.data.images import Pixels, square
from search.data.pictures import Pictures
from search.data.stored_pictures import pictures_of
from search.data.views.crop import Crop
from search.errors import DataError

# A JPEG of a view is decoded at a reduced size of at least so many times the size of the result.
# With 2, pixels of photos differ by one or two grey levels on average, see benchmarks/loading.py.
FIDELITY = 2

STATUS = struct.Struct("=BI")
"""What precedes the pixels or the message of each image: one of the following, and its bytes."""
SOUND, DAMAGED, FAILED = range(3)


@dataclass(frozen=True)
class Request:
    """Images to decode.

    Attributes:
        part: the name of their part.
        indices: their indices in the part.
        size: the side of the squares, in pixels.
        crops: the crop of each image; None for the largest centred squares, without augmentation.
    """

    part: str
    indices: Sequence[int]
    size: int
    crops: Sequence[Crop] | None


def decoded(pictures: Pictures, index: int, size: int, crop: Crop | None) -> Pixels:
    """Return an image's pixels, [channels, size, size].

    An image without a crop is decoded at its own size, as in the preprocess.py of an export.

    Raises:
        DataError: the image is damaged.
    """
    least = None if crop is None else crop.least_side(FIDELITY * size)
    return square(pictures.open(index, least=least), size, crop)


def main() -> None:
    """Decode the images of the data set in the folder that is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing else may write between the answers
    folder = Path(sys.argv[1])

    @cache
    def pictures(part: str) -> Pictures:
        return pictures_of(folder, part)

    while True:
        try:
            request: Request = pickle.load(sys.stdin.buffer)  # noqa: S301  from our own process
            for place in range(len(request.indices)):
                status, content = _answer(pictures, request, place)
                _write(answers, STATUS.pack(status, len(content)))
                _write(answers, content)
        except (EOFError, BrokenPipeError):
            return


def _answer(
    pictures: Callable[[str], Pictures], request: Request, place: int
) -> tuple[int, bytes | memoryview]:
    crop = None if request.crops is None else request.crops[place]
    try:
        found = decoded(pictures(request.part), request.indices[place], request.size, crop)
        return SOUND, found.data.cast("B")
    except DataError as error:
        return DAMAGED, str(error).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001  the process that asked raises it
        return FAILED, traceback.format_exc().encode("utf-8", "replace")


def _write(file: int, content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


if __name__ == "__main__":
    main()
