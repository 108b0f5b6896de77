"""Attention transfer. Zagoruyko and Komodakis 2017, arXiv:1612.03928."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import FeatureDistillation
from spaces.features import Feature, Pairing, corresponding
from spaces.method import FloatRange, param


def attention(maps: Tensor) -> Tensor:
    """Return the attention of feature maps: the mean square over the channels, with L2 norm 1.

    Args:
        maps: [batch, channels, height, width].

    Returns:
        Attention, [batch, height * width].
    """
    return functional.normalize(maps.square().mean(dim=1).flatten(1), dim=1)


@dataclass(frozen=True)
class Attention(FeatureDistillation):
    """Attention transfer: the student matches the teacher's spatial attention in each stage.

    loss = cross-entropy + weight · mean (attention of the student - attention of the teacher)².

    The paper takes the sum over the stages. This code takes the mean, so that the loss does not
    grow with the number of stages. Maps of one pixel have no spatial attention and are left out.
    The method trains no projectors.

    Source: Zagoruyko and Komodakis 2017, arXiv:1612.03928, equation 2, as computed in
    https://github.com/szagoruyko/attention-transfer.
    """

    name: ClassVar[str] = "attention"
    weight: float = param(1000.0, FloatRange(10.0, 10_000.0, log=True))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        pairs = [
            pair
            for pair in corresponding(student, teacher)
            if min(feature.side for feature in pair) > 1
        ]
        if not pairs:
            raise ValueError(
                "attention must find feature maps larger than one pixel in both networks, but "
                "found none: use larger images or another distillation"
            )
        return pairs

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        return functional.mse_loss(attention(student), attention(teacher))
