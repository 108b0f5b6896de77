"""Layer by layer, as in patient distillation. Sun et al. 2019, arXiv:1908.09355."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from spaces.axes.distillation import FeatureDistillation
from spaces.features import Feature, Pairing, corresponding
from spaces.method import FloatRange, param


@dataclass(frozen=True)
class Layerwise(FeatureDistillation):
    """The teacher's maps at the end of every stage are predicted by learned projectors.

    Each stage of the student is paired with the teacher's of the nearest scale, then depth.
    loss = cross-entropy + weight · mean over the pairs of the squared distance of the student's
    projected map and the teacher's, both of length 1 over the channels of each place: so no stage
    outweighs the others because its numbers are larger.

    Source: Sun et al. 2019, arXiv:1908.09355, equation 7, whose hidden states are a place's
    channels here.
    """

    name: ClassVar[str] = "layerwise"
    weight: float = param(1.0, FloatRange(0.01, 100.0, log=True))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return corresponding(student, teacher)

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        return nn.Conv2d(student.channels, teacher.channels, kernel_size=1)

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        apart = functional.normalize(student, dim=1) - functional.normalize(teacher, dim=1)
        return apart.square().sum(dim=1).mean()
