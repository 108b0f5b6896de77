"""The two kinds of parts: with pixels in memory, and with images that are decoded on demand."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from search.data.dataset import Batch, Labels
from search.data.images import Pixels, square
from search.data.pictures import Pictures
from search.data.views.crops import Crop, crops_of
from search.data.views.rendering import finished, resize_batch, view_of
from search.data.views.view import View

# Bump it when batches contain other images or labels, also of joined parts, or when their
# normalisation changes.
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """A part whose pixels are an array, usually a memory map that processes share.

    Attributes:
        pixels: [images, channels, size, size], uint8.
        labels: [images].
    """

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        batch_size: int,
        *,
        order: Tensor | None = None,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.batches`; views are computed on the device."""
        for indices in _divided(_order(order, len(self)), batch_size, drop_last=drop_last):
            # Indexing with an array copies, since torch can't use read-only memory.
            images = torch.from_numpy(self.pixels[indices.numpy()]).to(device)
            if view is not None:
                images = view_of(images, indices, view, size=image_size)
            elif image_size is not None:
                images = resize_batch(images, image_size)
            yield _batch(self.labels, indices, images)


@dataclass(frozen=True, kw_only=True)
class StreamedPart:
    """A part that is too large for memory: each image is decoded when its batch is read.

    Attributes:
        pictures: the images.
        labels: [images].
        size: the side in pixels to which images are cropped and resized.
        workers: the number of processes that decode; with 0, this process decodes.
    """

    pictures: Pictures
    labels: Labels
    size: int
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        batch_size: int,
        *,
        order: Tensor | None = None,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.batches`; each crop of an image is resized once."""
        order = _order(order, len(self))
        crops = None if view is None else crops_of(order, view, size=self.size)
        size = image_size or self.size
        loader = data.DataLoader(
            _Decoded(pictures=self.pictures, indices=order, crops=crops, size=size),
            batch_size=batch_size,
            drop_last=drop_last,
            num_workers=self.workers,
            # Its own generator: reading images must not change the state of torch's generator.
            generator=torch.Generator(),
        )
        for indices, images in loader:
            images = images.to(device)
            if view is not None:
                images = finished(images, indices, view)
            yield _batch(self.labels, indices, images)


@dataclass(frozen=True, kw_only=True)
class _Decoded(data.Dataset[tuple[int, Tensor]]):
    """Images by their place in the order, with the crops of a view."""

    pictures: Pictures
    indices: Tensor
    crops: list[Crop] | None
    size: int

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[int, Tensor]:
        index = int(self.indices[place])
        crop = None if self.crops is None else self.crops[place]
        return index, torch.from_numpy(square(self.pictures.open(index), self.size, crop).copy())


def _order(order: Tensor | None, images: int) -> Tensor:
    return torch.arange(images) if order is None else order.to("cpu", torch.int64)


def _divided(order: Tensor, batch_size: int, *, drop_last: bool) -> Iterator[Tensor]:
    for indices in torch.split(order, batch_size) if len(order) else ():
        if len(indices) == batch_size or not drop_last:
            yield indices


def _batch(labels: Labels, indices: Tensor, images: Tensor) -> Batch:
    chosen = torch.from_numpy(np.asarray(labels[indices.numpy()]))
    return Batch(indices, images, chosen.to(images.device))
