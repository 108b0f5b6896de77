"""The predictions of a network for one part of the data; metrics use them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions for all images of a part, in their order.

    Attributes:
        labels: the true classes, [images], int64.
        classes: the predicted classes, [images], int64.
        confidence: the predicted probabilities of these classes, [images], float32, 0 to 1.
        ranks: the number of classes with a higher logit than the true class, [images], int64; None
            if it is unknown.
    """

    labels: NDArray[np.int64]
    classes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    ranks: NDArray[np.int64] | None = None

    @classmethod
    def of_logits(cls, logits: NDArray[np.floating], labels: NDArray[np.int64]) -> Self:
        """Return the predictions from logits, [images, classes], of any float type."""
        above = np.exp(logits - logits.max(axis=1, keepdims=True))
        return cls(
            labels=labels,
            classes=logits.argmax(axis=1).astype(np.int64),
            confidence=(1 / above.sum(axis=1)).astype(np.float32),
            ranks=(logits > np.take_along_axis(logits, labels[:, None], axis=1)).sum(axis=1),
        )

    @classmethod
    def of_batches(cls, batches: Iterable[NDArray[np.floating]], labels: NDArray[np.int64]) -> Self:
        """Return the same from batches of logits, in order, without keeping them all."""
        found, start = [], 0
        for logits in batches:
            found.append(cls.of_logits(logits, labels[start : start + len(logits)]))
            start += len(logits)
        return cls(
            labels=labels,
            classes=np.concatenate([one.classes for one in found]),
            confidence=np.concatenate([one.confidence for one in found]),
            ranks=np.concatenate([one.ranks for one in found if one.ranks is not None]),
        )

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are predicted correctly, [images]."""
        right: NDArray[np.bool_] = self.classes == self.labels
        return right

    def of_class(self, label: int) -> Self:
        """Return the predictions for the images of one class."""
        own = self.labels == label
        return replace(
            self,
            labels=self.labels[own],
            classes=self.classes[own],
            confidence=self.confidence[own],
            ranks=None if self.ranks is None else self.ranks[own],
        )

    def by_class(self, classes: int) -> tuple[tuple[int, int], ...]:
        """Return the number of images and of correct predictions for each class."""
        of = np.bincount(self.labels, minlength=classes)
        right = np.bincount(self.labels[self.right], minlength=classes)
        return tuple(zip(of.tolist(), right.tolist(), strict=True))

    def disagreements(self, other: "Predictions") -> NDArray[np.int64]:
        """Return the indices of the images for which `other` predicts another class."""
        return np.flatnonzero(self.classes != other.classes)
