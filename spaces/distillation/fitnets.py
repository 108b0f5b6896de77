"""FitNets: distillation of one feature map, the hint. Romero et al. 2015, arXiv:1412.6550."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from spaces.axes.distillation import FeatureDistillation
from spaces.features import Feature, Pairing, corresponding
from spaces.method import FloatRange, param


@dataclass(frozen=True)
class FitNets(FeatureDistillation):
    """Hint training: a learned projector predicts one of the teacher's feature maps.

    loss = cross-entropy + weight · mean (W · student's map + b - teacher's map)², where W is a
    1 x 1 convolution. `place` selects the stage of the hint: 0 is the first stage, 1 is the last,
    and 0.5 is the middle, as in the paper. The paper trains first on the hint and then on the
    classes. This code trains on both at the same time.

    Source: Romero et al. 2015, arXiv:1412.6550, equation 3.
    """

    name: ClassVar[str] = "fitnets"
    weight: float = param(1.0, FloatRange(0.01, 100.0, log=True))
    place: float = param(0.5, FloatRange(0.0, 1.0))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        pairs = corresponding(student, teacher)
        return [pairs[round(self.place * (len(pairs) - 1))]]

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        return nn.Conv2d(student.channels, teacher.channels, kernel_size=1)

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        return functional.mse_loss(student, teacher)
