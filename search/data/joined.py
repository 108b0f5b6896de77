"""Images without labels joined to those with labels, for students that use no labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from search.data.dataset import Batch, Dataset, Labels, Part
from search.data.views import View


def for_learning(dataset: Dataset, *, by_labels: bool) -> Dataset:
    """Return the data set for a student, with unlabelled images too unless it learns by labels.

    They follow the training images, whose indices stay the same.
    """
    if by_labels or dataset.unlabelled is None:
        return dataset
    return replace(dataset, training=JoinedPart(dataset.training, dataset.unlabelled))


@dataclass(frozen=True)
class JoinedPart:
    """Two parts as one: the second one's indices follow the first one's."""

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
        """Yield batches, see `Part.batches`; each image's view is the one of its own part."""
        order = torch.arange(len(self)) if order is None else order.cpu()
        for indices in torch.split(order, batch_size) if len(order) else ():
            if len(indices) < batch_size and drop_last:
                return
            in_second = indices >= len(self.first)
            owned = (
                (self.first, indices[~in_second]),
                (self.second, indices[in_second] - len(self.first)),
            )
            halves = [
                batch
                for part, own in owned
                if len(own)
                for batch in part.batches(
                    len(own), order=own, view=view, device=device, image_size=image_size
                )
            ]
            # The images of the first part come first here; this restores the order asked for.
            place = torch.argsort(torch.argsort(in_second.int(), stable=True)).to(device)
            yield Batch(
                indices,
                torch.cat([half.images for half in halves])[place],
                torch.cat([half.labels for half in halves])[place],
            )
