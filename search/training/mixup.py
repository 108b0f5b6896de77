"""Mixup and CutMix: images are mixed in pairs, and labels and logits by the same shares.

Mixup: Zhang et al. 2018, arXiv:1710.09412; CutMix: Yun et al. 2019, arXiv:1905.04899. Beyer et
al. 2021 (arXiv:2106.05237) run their teacher on the mixed image. Here the teacher's logits are
cached, so its prediction for a mixed image is the mixture of its predictions for the two images.
Methods that compare features run their teacher on the mixed image itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Gamma
from torch.nn import functional

# Bump it when other shares are drawn, or images, labels or logits are mixed differently.
VERSION = 1


@dataclass(frozen=True)
class MixedBatch:
    """The mixture of a batch with its reverse: image i is mixed with image batch - 1 - i.

    Attributes:
        share: the share of each image in its mixture, 0 to 1; with a box, the share of its pixels.
        box: top, bottom, left and right of the part that the other image fills (CutMix); None mixes
            all pixel values (mixup).
    """

    share: float
    box: tuple[int, int, int, int] | None = None

    def images(self, images: Tensor) -> Tensor:
        """Return the mixed images, [batch, channels, height, width]."""
        if self.box is None:
            return images.lerp(images.flip(0), 1 - self.share)
        top, bottom, left, right = self.box
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
        return mixed

    def labels(self, labels: Tensor, classes: int) -> Tensor:
        """Return each class' share in each mixed image, [batch, classes], from labels [batch]."""
        own = functional.one_hot(labels, classes).float()
        return own.lerp(own.flip(0), 1 - self.share)

    def logits(self, logits: Tensor) -> Tensor:
        """Return the logits of the mixed predictions, [teachers, batch, classes]."""
        own = logits.float().softmax(dim=-1)
        # A prediction that is rounded to 0 must not become an infinite logit.
        return own.lerp(own.flip(-2), 1 - self.share).clamp_min(torch.finfo(own.dtype).tiny).log()


def draw_mixture(images: Tensor, *, mixup: float, cutmix: float) -> MixedBatch | None:
    """Draw a mixture for a batch from torch's global generator; None without mixup and CutMix.

    Args:
        images: [batch, channels, height, width].
        mixup: both parameters of mixup's Beta distribution of shares; 0 turns mixup off.
        cutmix: both parameters of CutMix's Beta distribution; 0 turns CutMix off. With both, each
            batch uses one of them, with equal probability.
    """
    if not (mixup or cutmix):
        return None
    cuts = bool(cutmix) and (not mixup or bool(torch.rand(()) < 0.5))
    concentration = cutmix if cuts else mixup
    share = _drawn_share(concentration)
    return _cut(images, share) if cuts else MixedBatch(share)


def _drawn_share(concentration: float) -> float:
    """Draw from the Beta distribution with both its parameters at `concentration`.

    The draw uses the logarithms of two Gamma variables, because the variables themselves underflow
    to 0 if the concentration is small.

    Source: Marsaglia and Tsang 2000, A Simple Method for Generating Gamma Variables, section 6.
    """
    parameters = torch.full((2,), concentration, dtype=torch.float64)
    uniform = torch.rand(2, dtype=torch.float64).clamp_min(torch.finfo(torch.float64).tiny)
    one, other = Gamma(parameters + 1, 1.0).sample().log() + uniform.log() / parameters
    return float(torch.sigmoid(one - other))


def _cut(images: Tensor, share: float) -> MixedBatch:
    """Draw a box of about 1 - `share` of the image around a random point, clipped to the image."""
    height, width = images.shape[2:]
    side = (1 - share) ** 0.5
    rows = _span(height, round(side * height))
    columns = _span(width, round(side * width))
    area = (rows[1] - rows[0]) * (columns[1] - columns[0])
    return MixedBatch(1 - area / (height * width), box=(*rows, *columns))


def _span(length: int, extent: int) -> tuple[int, int]:
    start = int(torch.randint(length, ())) - extent // 2
    return max(0, start), min(length, start + extent)
