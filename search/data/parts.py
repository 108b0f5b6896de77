"""The two kinds of parts: with pixels in memory, and with images that are decoded on demand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from search.data.batched import Batched
from search.data.dataset import Batch, Labels
from search.data.decoders import Decoders
from search.data.images import Pixels
from search.data.pictures import Pictures
from search.data.reading import Reading, read_ahead
from search.data.views.crops import crops_of
from search.data.views.rendering import finished, resize_batch, view_of
from search.data.views.view import View

# Bump it when batches contain other images or labels, also of joined parts, or when their
# normalisation changes.
VERSION = 3

# The squares of which a teacher sees crops have at most so many times the side of its images.
_MOST_TIMES = 2


@dataclass(frozen=True, kw_only=True)
class StreamedPart(Batched):
    """A part that is too large for memory: each image is decoded when its batch is read.

    Attributes:
        name: the part's name in the folder of the prepared data set.
        pictures: the images.
        labels: [images].
        size: the side in pixels to which images are cropped and resized.
        decoders: the processes that decode; None: this process decodes.
    """

    name: str
    pictures: Pictures
    labels: Labels
    size: int
    decoders: Decoders | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def read(
        self,
        batches: Iterable[Tensor],
        *,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.read`; each crop of an image is resized once."""
        reading = Reading(
            part=self.name,
            pictures=self.pictures,
            size=image_size or self.size,
            crops=None if view is None else partial(crops_of, view=view, size=self.size),
            pinned=_is_cuda(device),
        )
        for indices, images in read_ahead(reading, batches, self.decoders):
            images = _on(device, images)
            if view is not None:
                images = finished(images, indices, view)
            yield Batch(indices, images, _on(device, _labels(self.labels, indices)))


@dataclass(frozen=True, kw_only=True)
class MemoryPart(Batched):
    """A part whose pixels are an array, usually a memory map that processes share.

    Attributes:
        pixels: [images, channels, size, size], uint8.
        labels: [images].
        originals: the images of which these are the pixels, for teachers of a larger resolution;
            None if they are not kept apart.
    """

    pixels: Pixels
    labels: Labels
    originals: StreamedPart | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def read(
        self,
        batches: Iterable[Tensor],
        *,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.read`; views are computed on the device.

        Images that are larger than the pixels are decoded from their originals.
        """
        side = self.pixels.shape[-1]
        size = image_size or side
        squares = self._held(batches, device)
        if self.originals is not None and size > side:
            enough = size if view is None else view.augmentation.least_side(size)
            enough = min(enough, _MOST_TIMES * size)
            squares = self.originals.read(batches, device=device, image_size=enough)
        for batch in squares:
            images = batch.images
            if view is not None:
                images = view_of(images, batch.indices, view, size=size, students=side)
            yield replace(batch, images=resize_batch(images, size))

    def _held(self, batches: Iterable[Tensor], device: torch.device | str) -> Iterator[Batch]:
        for indices in batches:
            # Indexing with an array copies, since torch can't use read-only memory.
            images = _on(device, torch.from_numpy(self.pixels[indices.numpy()]))
            yield Batch(indices, images, _on(device, _labels(self.labels, indices)))


def _labels(labels: Labels, indices: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(labels[indices.numpy()]))


def _is_cuda(device: torch.device | str) -> bool:
    return torch.device(device).type == "cuda"


def _on(device: torch.device | str, values: Tensor) -> Tensor:
    """Return the values on the device; a GPU copies them while this process goes on."""
    if _is_cuda(device) and not values.is_pinned():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
