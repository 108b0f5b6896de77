"""The interface of a data set: three parts, and their description."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.decoders import Decoders
from search.data.stored_part import StoredPart
from search.data.views.augmentation import Augmentation
from search.data.views.view import View

Labels = NDArray[np.int64]
# The label of an image without a known label; losses that use labels reject it.
NO_LABEL = -1


@dataclass(frozen=True, kw_only=True)
class PartSizes:
    """The number of images in each part."""

    training: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """The description of a data set.

    Attributes:
        source: the source's name in a study file.
        classes: the names by which the classes are shown, in the order of their labels.
        channels: 1 or 3.
        image_size: the side of the square images, in pixels.
        mean: each channel's mean over the training pixels, scaled to 0..1.
        std: each channel's standard deviation, likewise; never 0.
        augmentation: the random changes of a view.
        digest: the sha256 of pixels, labels, sizes and split. It does not depend on whether the
            pixels are in memory.
        sizes: the number of images in each part.
        corrupt: the names of the damaged files that were skipped.
        repeated: the number of validation and test images that are identical to an image of the
            training part or an unlabelled image.
        unlabelled: the number of unlabelled images, which belong to none of the three parts.
        unused: the number of files and folders that were not used, by kind.
        groups: the number of groups that a split keeps in one part; 0 if no groups are set.
        shared_groups: the number of groups with images in several parts, as the data define them.
        suggested_groups: the number of groups that file names suggest although none are set.
        suggested_column: the column of a table that may hold groups although none are set; empty if
            there is none.
        read: what was read, such as the columns of a table, a line for each fact.
        original_classes: the names of the classes in the data, if `classes` are others; else empty.
    """

    source: str
    classes: tuple[str, ...]
    channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    digest: str
    sizes: PartSizes
    corrupt: tuple[str, ...] = ()
    repeated: int = 0
    unlabelled: int = 0
    unused: tuple[tuple[str, int], ...] = ()
    groups: int = 0
    shared_groups: int = 0
    suggested_groups: int = 0
    suggested_column: str = ""
    read: tuple[str, ...] = ()
    original_classes: tuple[str, ...] = ()

    @property
    def class_ids(self) -> tuple[str, ...]:
        """What identifies the classes, in the order of their labels: their names in the data."""
        return self.original_classes or self.classes

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Create from the values of `to_json`, also after a conversion to JSON text and back.

        Raises:
            KeyError, TypeError: the values do not have the fields of `to_json`.
        """
        lists = ("classes", "mean", "std", "corrupt")
        tuples: dict[str, Any] = {key: tuple(values[key]) for key in lists}
        tuples |= {key: tuple(values.get(key, ())) for key in ("read", "original_classes")}
        tuples["unused"] = tuple((kind, number) for kind, number in values.get("unused", ()))
        others = {key: value for key, value in values.items() if key not in ("shift", "flip")}
        more = {"sizes": PartSizes(**values["sizes"]), "augmentation": _augmentation(values)}
        return cls(**{**others, **tuples, **more})


def _augmentation(values: Mapping[str, Any]) -> Augmentation:
    if "augmentation" in values:
        return Augmentation.from_json(values["augmentation"])
    # Version 0.2 and earlier only shifted and mirrored images.
    level = "light" if values["shift"] or values["flip"] else "none"
    return Augmentation(shift=values["shift"], flip=values["flip"], level=level)


@dataclass(frozen=True)
class Batch:
    """Some images of a part.

    Attributes:
        indices: the images' indices in the part, [batch], int64, on the CPU.
        images: [batch, channels, size, size], uint8, on the requested device.
        labels: [batch], int64, on the requested device.
    """

    indices: Tensor
    images: Tensor
    labels: Tensor


class Part(Protocol):
    """One of the three parts of a data set."""

    @property
    def labels(self) -> Labels:
        """The labels, [images], int64."""

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
            batch_size: the number of images in a batch; the last batch may be smaller.
            order: the indices of the images to yield, [n], int64; by default all, ascending.
            view: the augmented view to yield; None yields unaugmented images.
            device: the device of the images and labels.
            image_size: the side in pixels to which images or views are resized at the end.
            drop_last: whether to omit a last batch that is smaller.
        """

    def read(
        self,
        batches: Iterable[Tensor],
        *,
        view: View | None = None,
        device: torch.device | str = "cpu",
        image_size: int | None = None,
    ) -> Iterator[Batch]:
        """Yield these batches.

        Args:
            batches: the indices of the images of each batch, [batch], int64, on the CPU; some
                batches may be taken ahead.
            view: as in `batches`.
            device: likewise.
            image_size: likewise.
        """


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, opened from its folder.

    Attributes:
        info: the description.
        training, validation, test: the parts.
        folder: the folder.
        unlabelled: images without a known label, which belong to no part; None if there are none.
        stored: how each part is stored, by its name.
        decoders: the processes that decode images; None if this process decodes, or the data set
            has no image files.
    """

    info: DataInfo
    training: Part
    validation: Part
    test: Part
    folder: Path
    unlabelled: Part | None = None
    stored: Mapping[str, StoredPart] = field(default_factory=dict)
    decoders: Decoders | None = None

    @property
    def key(self) -> str:
        """What a training follows from: the content, and how it is stored.

        The same view of the same image differs where it is cropped from resized pixels, from a
        reduced photo, or from the original file.
        """
        stored = (f"{part}: {one.placement} {one.bytes}" for part, one in self.stored.items())
        return ", ".join([self.info.digest, *sorted(stored)])

    def end_decoding(self) -> None:
        """Let the processes that decode images end; the next image that needs one starts them."""
        if self.decoders is not None:
            self.decoders.end()


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale each channel of the images to 0..1, subtract its mean, and divide by its std.

    Args:
        images: [..., channels, height, width], uint8.
        mean: the mean of each channel, 0..1.
        std: the standard deviation of each channel, above 0.

    Returns:
        float32, same shape and device.
    """
    shape = (-1, 1, 1)
    center = torch.tensor(mean, dtype=torch.float32, device=images.device).view(shape)
    spread = torch.tensor(std, dtype=torch.float32, device=images.device).view(shape)
    return images.float().div_(255).sub_(center).div_(spread)
