"""Joining of unlabelled images to the training images, for students that use no labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from search.data.batched import Batched
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
class JoinedPart(Batched):
    """Two parts as one: the indices of the second follow the indices of the first."""

    first: Part
    second: Part

    @property
    def labels(self) -> Labels:
        return np.concatenate([self.first.labels, self.second.labels])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def read(
        self,
        batches: Iterable[Tensor],
        *,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
    ) -> Iterator[Batch]:
        """Yield batches, see `Part.read`; an image has the same view as in its own part."""
        whole = list(batches)
        limit = len(self.first)
        by_part = (
            (self.first, [indices[indices < limit] for indices in whole]),
            (self.second, [indices[indices >= limit] - limit for indices in whole]),
        )
        streams = [
            part.read(filter(len, own), view=view, device=device, image_size=image_size)
            for part, own in by_part
        ]
        for place, indices in enumerate(whole):
            halves = [
                next(stream)
                for stream, (_, own) in zip(streams, by_part, strict=True)
                if len(own[place])
            ]
            yield _merged(indices, indices >= limit, halves)


def _merged(indices: Tensor, in_second: Tensor, halves: Sequence[Batch]) -> Batch:
    """Return one batch in the requested order.

    Args:
        indices: the indices of its images, [batch].
        in_second: whether each image is in the second part, [batch].
        halves: its images of the first part and of the second part, without empty ones.
    """
    device = halves[0].images.device
    place = torch.argsort(torch.argsort(in_second.int(), stable=True)).to(device)
    return Batch(
        indices,
        torch.cat([half.images for half in halves])[place],
        torch.cat([half.labels for half in halves])[place],
    )
