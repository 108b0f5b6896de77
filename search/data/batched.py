"""The division of a part's images into batches."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from search.data.dataset import Batch
from search.data.views.view import View


class _Readable(Protocol):
    def __len__(self) -> int: ...

    def read(
        self,
        batches: Iterable[Tensor],
        *,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
    ) -> Iterator[Batch]: ...


class Batched:
    """Gives a part its `batches`, by its `read`."""

    def batches(
        self: _Readable,
        batch_size: int,
        *,
        order: Tensor | None = None,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.batches`."""
        divided = _divided(order, len(self), batch_size, drop_last=drop_last)
        return self.read(divided, view=view, device=device, image_size=image_size)


def _divided(
    order: Tensor | None, images: int, batch_size: int, *, drop_last: bool
) -> Iterator[Tensor]:
    """Yield the indices of the images of each batch, [batch], int64, on the CPU.

    Args:
        order: the indices of all images to read, [n], int64; None: all, ascending.
        images: the number of images of the part.
        batch_size: the number of images in a batch; the last batch may be smaller.
        drop_last: whether to omit a last batch that is smaller.
    """
    order = torch.arange(images) if order is None else order.to("cpu", torch.int64)
    for indices in torch.split(order, batch_size) if len(order) else ():
        if len(indices) == batch_size or not drop_last:
            yield indices
