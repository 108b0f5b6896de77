"""The two ways in which a part yields its batches: from memory, or by decoding on demand."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from search.data.dataset import Batch, Labels
from search.data.images import Pixels, square
from search.data.pictures import Pictures
from search.data.views import Crop, View, crops_of, resize_batch, view_of

# Bump it when batches hold other images or labels, joined ones too, or are normalised otherwise.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """A part whose pixels are an array, usually one that processes share by memory map.

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
        """Yield batches, see `Part.batches`; views are shifted on the device."""
        for indices in _divided(_order(order, len(self)), batch_size, drop_last=drop_last):
            # Indexing by an array copies: torch can't share memory that must not be written.
            images = torch.from_numpy(self.pixels[indices.numpy()]).to(device)
            if view is not None:
                images = view_of(images, indices, view)
            yield _batch(self.labels, indices, images, image_size)


@dataclass(frozen=True, kw_only=True)
class StreamedPart:
    """A part that is too large for memory: each image is decoded when its batch is read.

    Attributes:
        pictures: the images.
        labels: [images].
        size: side in pixels to which they are cut and resized.
        workers: number of processes that decode; 0 decodes in the present process.
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
        """Yield batches, see `Part.batches`; views are cut from the whole image, unresized."""
        order = _order(order, len(self))
        crops = None if view is None else crops_of(order, view)
        loader = data.DataLoader(
            _Decoded(pictures=self.pictures, indices=order, crops=crops, size=self.size),
            batch_size=batch_size,
            drop_last=drop_last,
            num_workers=self.workers,
            # A generator of its own, so that reading images does not change the state of torch's.
            generator=torch.Generator(),
        )
        for indices, images in loader:
            yield _batch(self.labels, indices, images.to(device), image_size)


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


def _batch(labels: Labels, indices: Tensor, images: Tensor, size: int | None) -> Batch:
    if size is not None:
        images = resize_batch(images, size)
    chosen = torch.from_numpy(np.asarray(labels[indices.numpy()]))
    return Batch(indices, images, chosen.to(images.device))
