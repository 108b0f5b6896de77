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
    """Return a map's attention: the mean square over its channels, of length 1 over its places.

    Args:
        maps: [batch, channels, height, width].

    Returns:
        [batch, height * width]
    """
    return functional.normalize(maps.square().mean(dim=1).flatten(1), dim=1)


@dataclass(frozen=True)
class Attention(FeatureDistillation):
    """Where the teacher looks, in every stage: nothing is learned beside the student.

    loss = cross-entropy + weight · mean (attention of the student - that of the teacher)². The
    paper sums over the stages, here it is their mean, so that the weight does not depend on depth.
    Maps of a single pixel say nothing of where, and are left out.

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
                "attention needs maps larger than a pixel, but there is none that both networks "
                "have: show them larger images"
            )
        return pairs

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        return functional.mse_loss(attention(student), attention(teacher))
