"""Joining of unlabelled images to the training images, for students that use no labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from search.data.dataset import Batch, Dataset, Labels, Part
from search.data.views.view import View


def for_learning(dataset: Dataset, *, by_labels: bool) -> Dataset:
    """Return the data set for a student's training.

    Unless the student learns by labels, its training part includes the unlabelled images. They
    follow the training images, whose indices do not change.
    """
    if by_labels or dataset.unlabelled is None:
        return dataset
    return replace(dataset, training=JoinedPart(dataset.training, dataset.unlabelled))


@dataclass(frozen=True)
class JoinedPart:
    """Two parts as one: the indices of the second follow the indices of the first."""

    first: Part
    second: Part

    @property
    def labels(self) -> Labels:
        return np.concatenate([self.first.labels, self.second.labels])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

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
        """Yield batches, see `Part.batches`; an image has the same view as in its own part."""
        order = torch.arange(len(self)) if order is None else order.cpu()
        for indices in torch.split(order, batch_size) if len(order) else ():
            if len(indices) < batch_size and drop_last:
                return
            in_second = indices >= len(self.first)
            indices_by_part = (
                (self.first, indices[~in_second]),
                (self.second, indices[in_second] - len(self.first)),
            )
            halves = [
                batch
                for part, own in indices_by_part
                if len(own)
                for batch in part.batches(
                    len(own), order=own, view=view, device=device, image_size=image_size
                )
            ]
            # `halves` starts with the images of the first part; this restores the requested order.
            place = torch.argsort(torch.argsort(in_second.int(), stable=True)).to(device)
            yield Batch(
                indices,
                torch.cat([half.images for half in halves])[place],
                torch.cat([half.labels for half in halves])[place],
            )
