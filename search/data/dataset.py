"""What a data set is to the rest of the project: three parts, and what is known about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.views import View

Labels = NDArray[np.int64]
# In the place of a label that no one knows; no loss of labels takes it.
NO_LABEL = -1


@dataclass(frozen=True, kw_only=True)
class PartSizes:
    """Images in each part."""

    training: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What is known about a data set.

    Attributes:
        source: the source's name, as a study file writes it.
        classes: names, in the order of their labels.
        channels: 1 or 3.
        image_size: side of the square images, in pixels.
        mean: of each channel, of the training part's pixels scaled to 0..1.
        std: likewise; never 0.
        shift: the share of their size by which views may be shifted.
        flip: whether views may be mirrored.
        digest: sha256 of pixels, labels, sizes and split; the same whether held in memory or not.
        sizes: images in each part.
        corrupt: names of the files that were skipped, being damaged.
        repeated: validation and test images that are learned from too, pixel for pixel.
        unlabelled: images beside the parts, of which no label is known.
    """

    source: str
    classes: tuple[str, ...]
    channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shift: float
    flip: bool
    digest: str
    sizes: PartSizes
    corrupt: tuple[str, ...] = ()
    repeated: int = 0
    unlabelled: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, also after a way through JSON text.

        Raises:
            KeyError, TypeError: the values are not of `to_json`.
        """
        lists = ("classes", "mean", "std", "corrupt")
        tuples = {key: tuple(values[key]) for key in lists}
        return cls(**{**values, **tuples, "sizes": PartSizes(**values["sizes"])})


@dataclass(frozen=True)
class Batch:
    """Some images of a part.

    Attributes:
        indices: places in the part, [batch], int64, on the CPU.
        images: [batch, channels, size, size], uint8, on the device asked for.
        labels: [batch], int64, on the device asked for.
    """

    indices: Tensor
    images: Tensor
    labels: Tensor


class Part(Protocol):
    """One of the three parts of a data set."""

    @property
    def labels(self) -> Labels:
        """Labels in the order of the indices, [images]."""

    def __len__(self) -> int: ...

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
        """The images in batches.

        Args:
            batch_size: images a batch; the last may be smaller.
            order: indices to go through, [n], int64; by default all, from the first to the last.
            view: the augmented view to give; None gives the images as they are.
            device: where images and labels are put.
            image_size: side in pixels to which images, and views of them, are resized at last.
            drop_last: leave a last, smaller batch out.
        """


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, opened from its folder.

    `unlabelled` are images beside the three parts, of which no label is known; None where there
    are none.
    """

    info: DataInfo
    training: Part
    validation: Part
    test: Part
    folder: Path
    unlabelled: Part | None = None


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images as networks take them: each channel scaled to 0..1, less its mean, over its std.

    Args:
        images: [..., channels, height, width], uint8.
        mean: of each channel, 0..1.
        std: of each channel, above 0.

    Returns:
        float32, same shape and device.
    """
    shape = (-1, 1, 1)
    center = torch.tensor(mean, dtype=torch.float32, device=images.device).view(shape)
    spread = torch.tensor(std, dtype=torch.float32, device=images.device).view(shape)
    return images.float().div_(255).sub_(center).div_(spread)
