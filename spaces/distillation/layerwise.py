"""Patient distillation, layer by layer. Sun et al. 2019, arXiv:1908.09355."""

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
    """Matching of all stages: learned projectors predict the teacher's map at each stage's end.

    loss = cross-entropy + weight · mean over the pairs of the squared distance between the
    student's projected map and the teacher's map. `corresponding` pairs the
    stages. The channel vector of each pixel is normalised to L2 norm 1, so that stages with larger
    values have no larger weight.

    Source: Sun et al. 2019, arXiv:1908.09355, equation 7. The channel vector of a pixel replaces
    the paper's hidden state.
    """

    name: ClassVar[str] = "layerwise"
    weight: float = param(1.0, FloatRange(0.01, 100.0, log=True))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return corresponding(student, teacher)

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        return nn.Conv2d(student.channels, teacher.channels, kernel_size=1)

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        difference = functional.normalize(student, dim=1) - functional.normalize(teacher, dim=1)
        return difference.square().sum(dim=1).mean()
