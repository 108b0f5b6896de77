"""DIST: correlation with a stronger teacher. Huang et al. 2022, arXiv:2205.10536."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.method import FloatRange, param

_EPSILON = 1e-8


def uncorrelated(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over the rows of 1 - Pearson correlation with the teacher's row, 0 to 2.

    Rows that hardly vary count as uncorrelated: the authors add 1e-8 to the product of the two
    norms. Among many classes, most classes have tiny probabilities in a batch. Without this term,
    their noise would have the largest gradients.

    Args:
        student: [rows, values].
        teacher: [rows, values].
    """
    own, target = (rows - rows.mean(dim=1, keepdim=True) for rows in (student, teacher))
    norms: Tensor = own.norm(dim=1) * target.norm(dim=1)
    correlations = (own * target).sum(dim=1) / (norms + _EPSILON)
    return 1 - correlations.mean()


@dataclass(frozen=True)
class DIST(Distillation):
    """Correlation with the teacher's predictions, over classes and over images.

    loss = cross-entropy + inter_weight · T² · (1 - correlation of each image's probabilities over
    the classes) + intra_weight · T² · (1 - correlation of each class's probabilities over the
    batch).

    A correlation depends only on relations between probabilities. A small student can match these
    relations even if it can't match the probabilities of a much stronger teacher.

    Source: Huang et al. 2022, arXiv:2205.10536, equations 9 to 11; https://github.com/hunto/DIST_KD.
    """

    name: ClassVar[str] = "dist"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(1.0, FloatRange(1.0, 10.0, log=True))
    inter_weight: float = param(1.0, FloatRange(0.1, 10.0, log=True))
    intra_weight: float = param(1.0, FloatRange(0.1, 10.0, log=True))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError(
                "batch.teacher must hold the teacher's logits for dist, but is None: "
                "give it the logits"
            )
        student = (batch.student / self.temperature).softmax(dim=1)
        teacher = (batch.teacher.detach().float() / self.temperature).softmax(dim=1)
        inter = uncorrelated(student, teacher)
        intra = uncorrelated(student.T, teacher.T)
        label_loss = batch.label_loss(label_smoothing)
        relations = self.inter_weight * inter + self.intra_weight * intra
        return label_loss + relations * self.temperature**2
