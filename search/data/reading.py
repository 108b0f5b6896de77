"""Reading of the batches of a streamed part: images are decoded ahead, by several processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from search.data.decoders import Decoders
from search.data.decoding import Request, decoded
from search.data.pictures import Pictures
from search.data.views.crop import Crop

_TASKS = 4  # for each process and batch, so that none waits for another at the end of a batch
_MOST_IN_TASK = 16
_FEWEST_AHEAD = 2
_BYTES_AHEAD = 2**27


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read of each image.

    Attributes:
        part: the name of the part.
        pictures: its images.
        size: the side of the squares, in pixels.
        crops: returns the crops of the images with these indices; None reads them unaugmented.
        pinned: whether the pixels are to be in page-locked memory, from which a GPU copies while
            this process goes on.
    """

    part: str
    pictures: Pictures
    size: int
    crops: Callable[[Tensor], Sequence[Crop]] | None
    pinned: bool = False

    def memory(self, images: int) -> Tensor:
        """Return memory for so many images, [images, channels, size, size], uint8."""
        shape = (images, self.pictures.channels, self.size, self.size)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)


@dataclass(frozen=True)
class _Ordered:
    """A batch that is being decoded."""

    indices: Tensor
    images: Tensor
    tasks: Sequence[Future[None]]


def read_ahead(
    reading: Reading, batches: Iterable[Tensor], decoders: Decoders | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices and the images of each batch; decode the next batches meanwhile.

    Args:
        reading: what is read.
        batches: the indices of the images of each batch, [batch], int64.
        decoders: the processes that decode; None decodes each batch here when it is asked for.

    Raises:
        DataError: an image is damaged.
    """
    if decoders is None:
        for indices in batches:
            yield indices, _decoded(reading, indices)
        return
    waiting: deque[_Ordered] = deque()
    try:
        for indices in batches:
            waiting.append(_ordered(reading, indices, decoders))
            if len(waiting) > _ahead(waiting[0], decoders):
                yield _finished(waiting)
        while waiting:
            yield _finished(waiting)
    finally:
        for batch in waiting:
            for task in batch.tasks:
                task.cancel()


def _decoded(reading: Reading, indices: Tensor) -> Tensor:
    images = reading.memory(len(indices))
    crops = None if reading.crops is None else reading.crops(indices)
    pixels = images.numpy()
    for place, index in enumerate(indices.tolist()):
        crop = None if crops is None else crops[place]
        pixels[place] = decoded(reading.pictures, index, reading.size, crop)
    return images


def _ordered(reading: Reading, indices: Tensor, decoders: Decoders) -> _Ordered:
    images = reading.memory(len(indices))
    crops = None if reading.crops is None else reading.crops(indices)
    numbers, pixels = indices.tolist(), images.numpy()
    step = _in_task(len(indices), decoders)
    tasks = []
    for start in range(0, len(indices), step):
        part = slice(start, start + step)
        own = None if crops is None else crops[part]
        request = Request(reading.part, numbers[part], reading.size, own)
        tasks.append(decoders.submit(request, pixels[part].data.cast("B")))
    return _Ordered(indices, images, tasks)


def _in_task(images: int, decoders: Decoders) -> int:
    return max(1, min(_MOST_IN_TASK, images // (_TASKS * decoders.count)))


def _ahead(batch: _Ordered, decoders: Decoders) -> int:
    """Return the number of batches that are decoded ahead, so that all processes have work."""
    images = len(batch.indices)
    wanted = ceil(2 * decoders.count * _in_task(images, decoders) / images)
    fitting = _BYTES_AHEAD // batch.images.nbytes
    return max(1, min(max(wanted, _FEWEST_AHEAD), fitting))


def _finished(waiting: deque[_Ordered]) -> tuple[Tensor, Tensor]:
    """Wait for the first batch; it leaves the queue only when it is complete."""
    for task in waiting[0].tasks:
        task.result()
    batch = waiting.popleft()
    return batch.indices, batch.images
