"""The loss on the true labels: one for all distillations that use labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Bump it when weighted or binary cross-entropy is computed differently.
VERSION = 1

CROSS_ENTROPY = "cross_entropy"
BCE = "bce"
LOSSES = (CROSS_ENTROPY, BCE)

UNWEIGHTED = "none"
_INVERSE, _EFFECTIVE = "inverse", "effective"
CLASS_WEIGHTS = (UNWEIGHTED, _INVERSE, _EFFECTIVE)

# A class is in a mixed image if its share is above this one, as in the authors' runs with timm.
_PRESENT = 0.2
# Cui et al. try 0.9 to 0.9999. With 0.999, images beyond the first thousands of a class count
# little.
_OVERLAP = 0.999


@dataclass(frozen=True)
class LabelLoss:
    """The loss of predictions on the true labels.

    - `cross_entropy`: the mean over the images of -Σ share · log softmax.
    - `bce`: each class is a question of its own, whether the image shows it. The loss is the sum of
      the binary cross-entropies over the classes, and the mean over the images. In a mixed image,
      each class with a share above 0.2 is present. timm takes the mean over the classes by default.
      The sum keeps the gradient of the true class on the scale of cross-entropy's, so that the
      weights of a distillation keep their meaning.

    Source: Wightman et al. 2021, arXiv:2110.00476, section 3 (bce), with the threshold of its runs
    in timm; Cui et al. 2019, arXiv:1901.05555 (class weights).

    Attributes:
        kind: `cross_entropy` or `bce`.
        class_weights: the weight of each class, [classes], float32, on the device of the logits;
            None weights all classes by 1. The mean over the batch does not divide by the weights.
    """

    kind: str = CROSS_ENTROPY
    class_weights: Tensor | None = None

    def __call__(self, logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Return the loss, a scalar in nats.

        A mixed image counts as an image of each of its classes, by their shares. So its
        cross-entropy is the sum over its classes of share · weight of the class · cross-entropy
        with that class.

        Args:
            logits: [batch, classes].
            labels: the true classes, [batch], int64; or the share of each class, [batch, classes].
            smoothing: share of each label to distribute over all classes.
        """
        from torch.nn import functional

        if self.kind == CROSS_ENTROPY and self.class_weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        classes = logits.shape[1]
        shares = labels if labels.ndim == 2 else functional.one_hot(labels, classes).to(logits)
        weights = shares if self.class_weights is None else shares * self.class_weights
        totals = weights.sum(dim=1, keepdim=True)  # [batch, 1]
        if self.kind == CROSS_ENTROPY:
            targets = (1 - smoothing) * weights + smoothing / classes * totals
            return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
        present = (shares > _PRESENT).to(logits)
        losses = functional.binary_cross_entropy_with_logits(
            logits, (1 - smoothing) * present + smoothing / classes, reduction="none"
        )
        return (totals * losses).sum(dim=1).mean()


def class_weights(kind: str, counts: Sequence[int]) -> list[float] | None:
    """Return the weight of each class, for the numbers of its training images.

    The mean of the weights over the training images is 1, so that the loss keeps its scale; the
    paper makes their mean over the classes 1. A class without images has the weight 0.

    Args:
        kind: `none`; `inverse`: 1 / images; or `effective`: 1 / effective number of images, which
            is (1 - βⁿ) / (1 - β) for n images, with β = 0.999.
        counts: the number of training images of each class.

    Returns:
        The weights; None for `none`.

    Source: Cui et al. 2019, arXiv:1901.05555, section 4.
    """
    if kind == UNWEIGHTED:
        return None
    effective = [_effective_number(count) if kind == _EFFECTIVE else count for count in counts]
    weights = [1 / number if number else 0.0 for number in effective]
    weighted = sum(count * weight for count, weight in zip(counts, weights, strict=True))
    return [weight * sum(counts) / weighted for weight in weights]


def _effective_number(images: int) -> float:
    return (1 - _OVERLAP**images) / (1 - _OVERLAP)
