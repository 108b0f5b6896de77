"""The file of a teacher's logits for one view of every training image.

With many classes, the file has each image's largest logits and their classes. Of all other classes
together it has the mass, and the mean and the standard deviation of their logits. At a temperature
of 1, the predictions for the kept classes are then exact. At other temperatures, and for methods
that standardise logits, the other classes have the spread that they had.
"""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.files.arrays import mapped

KEPT_CLASSES = 64
"""The number of classes whose logits are kept where there are more than twice as many."""

_LOGITS, _CLASSES, _REST = "logits.npy", "classes.npy", "rest.npy"
_REST_NUMBERS = 3  # the logarithm of the mass, the mean, the standard deviation
# Steps through the classes from one image to the next; a prime, so that few class counts share it.
_STRIDE = 61
_LARGEST = float(np.finfo(np.float16).max)
_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class ViewLogits:
    """The logits of one view, mapped into memory.

    Attributes:
        logits: [teachers, images, kept classes], float16.
        kept: the class of each logit, [teachers, images, kept classes]; None if all are kept.
        rest: of the other logits, the logarithm of the sum of the exponentials, the mean and the
            standard deviation, [teachers, images, 3], float16; None if all are kept.
        classes: the number of classes.
    """

    logits: NDArray[np.float16]
    kept: NDArray[np.int32] | None
    rest: NDArray[np.float16] | None
    classes: int

    @classmethod
    def create(cls, folder: Path, *, teachers: int, images: int, classes: int) -> "ViewLogits":
        """Create the files of a view in `folder`, with room on the disk for all of it.

        Raises:
            OSError: the disk has too little space.
        """
        some = classes > 2 * KEPT_CLASSES
        shape = teachers, images, KEPT_CLASSES if some else classes
        return cls(
            _created(folder / _LOGITS, shape, np.float16),
            _created(folder / _CLASSES, shape, np.int32) if some else None,
            _created(folder / _REST, (*shape[:2], _REST_NUMBERS), np.float16) if some else None,
            classes,
        )

    @classmethod
    def open(cls, folder: Path, *, classes: int) -> "ViewLogits":
        """Map the files in `folder` into memory, in milliseconds; processes share the pages."""
        has_rest = (folder / _REST).exists()
        return cls(
            mapped(folder / _LOGITS),
            mapped(folder / _CLASSES) if has_rest else None,
            mapped(folder / _REST) if has_rest else None,
            classes,
        )

    def write(self, indices: NDArray[np.int64], outputs: Tensor) -> None:
        """Write the logits of some images, [teachers, batch, classes], float32, on the CPU."""
        if self.kept is None or self.rest is None:
            self.logits[:, indices] = _halved(outputs)
            return
        largest = outputs.topk(KEPT_CLASSES, dim=-1)
        others = outputs.scatter(-1, largest.indices, -math.inf)
        count = self.classes - KEPT_CLASSES
        mean = (outputs.sum(dim=-1) - largest.values.sum(dim=-1)) / count
        squares = (others - mean[..., None]).nan_to_num(posinf=0.0, neginf=0.0) ** 2
        deviation = (squares.sum(dim=-1) / count).sqrt()
        self.logits[:, indices] = _halved(largest.values)
        self.kept[:, indices] = largest.indices.numpy()
        self.rest[:, indices] = _halved(
            torch.stack([others.logsumexp(dim=-1), mean, deviation], dim=-1)
        )

    def of(self, indices: Tensor) -> Tensor:
        """Return the images' logits, [teachers, batch, classes], float32.

        Classes that are not kept have the mass of the rest, and logits that spread as those of a
        normal distribution. Which of them has which logit differs from image to image.
        """
        chosen = indices.numpy()
        logits = torch.from_numpy(self.logits[:, chosen].astype(np.float32))
        if self.kept is None or self.rest is None:
            return logits
        rest = torch.from_numpy(self.rest[:, chosen].astype(np.float32))
        places = torch.from_numpy(self.kept[:, chosen].astype(np.int64))
        mass, mean, deviation = rest.unbind(dim=-1)
        order = (torch.arange(self.classes) + _STRIDE * indices[:, None]) % self.classes
        others = mean[..., None] + deviation[..., None] * _spread(self.classes)[order]
        others = torch.minimum(others, logits.amin(dim=-1, keepdim=True))
        drawn = others.scatter(-1, places, -math.inf).logsumexp(dim=-1)
        return (others + (mass - drawn)[..., None]).scatter(-1, places, logits)

    def flush(self) -> None:
        """Write all changes to the disk."""
        for array in (self.logits, self.kept, self.rest):
            if isinstance(array, np.memmap):
                array.flush()


def bytes_of_view(*, teachers: int, images: int, classes: int) -> int:
    """Return the bytes of a view's files, but for their headers."""
    if classes <= 2 * KEPT_CLASSES:
        return teachers * images * classes * 2
    return teachers * images * (KEPT_CLASSES * (2 + 4) + _REST_NUMBERS * 2)


@cache
def _spread(count: int) -> Tensor:
    """Return quantiles of the standard normal distribution in a shuffled order, [count]."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    quantiles: Tensor = torch.special.ndtri(shares)
    return quantiles[shuffled].float()


def _halved(values: Tensor) -> NDArray[np.float16]:
    found: NDArray[np.float16] = values.clamp(-_LARGEST, _LARGEST).numpy().astype(np.float16)
    return found


def _created(file: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    array = np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape)
    reserve(file)
    return array


def reserve(file: Path) -> None:
    """Reserve the disk space of the whole file: on a full disk, a mapped write kills the process.

    Raises:
        OSError: the disk has too little space.
    """
    with file.open("r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
            return
        # macOS lacks posix_fallocate. Overwrite the content with itself: the header and zeros.
        while block := opened.read(_BLOCK):
            opened.seek(-len(block), os.SEEK_CUR)
            opened.write(block)
