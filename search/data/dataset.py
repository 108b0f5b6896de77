"""The interface of a data set: three parts, and the facts about them."""

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
# Replaces a label that no one knows; no loss of labels accepts it.
NO_LABEL = -1


@dataclass(frozen=True, kw_only=True)
class PartSizes:
    """Images in each part."""

    training: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """The facts about a data set.

    Attributes:
        source: the source's name, as a study file writes it.
        classes: names, in the order of their labels.
        channels: 1 or 3.
        image_size: side of the square images, in pixels.
        mean: each channel's mean over the training part's pixels, scaled to 0..1.
        std: each channel's standard deviation, likewise; never 0.
        shift: the share of their size by which views may be shifted.
        flip: whether views may be mirrored.
        digest: sha256 of pixels, labels, sizes and split; the same whether held in memory or not.
        sizes: images in each part.
        corrupt: names of the damaged files that were skipped.
        repeated: validation and test images that are also learned from, pixel for pixel.
        unlabelled: number of images beside the parts without a known label.
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
        """Return plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Invert `to_json`, also after a conversion to JSON text and back.

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
        """Yield the images in batches.

        Args:
            batch_size: images a batch; the last may be smaller.
            order: indices of the images to yield, [n], int64; by default all, in ascending order.
            view: the augmented view to return; None returns the images as they are.
            device: the device of the images and labels.
            image_size: side in pixels to which images, and views of them, are finally resized.
            drop_last: whether to leave out a last, smaller batch.
        """


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, opened from its folder.

    `unlabelled` holds images beside the three parts, without a known label; None where there
    are none.
    """

    info: DataInfo
    training: Part
    validation: Part
    test: Part
    folder: Path
    unlabelled: Part | None = None


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale each channel of the images to 0..1, subtract its mean, and divide by its std.

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
