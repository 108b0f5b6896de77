"""Hard labels of the teacher. Touvron et al. 2021 (DeiT), arXiv:2012.12877, equation 3."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.method import FloatRange, param


@dataclass(frozen=True)
class HardLabels(Distillation):
    """Cross-entropy with the teacher's most probable classes, mixed with the true labels.

    loss = (1 - weight) · cross-entropy(labels) + weight · cross-entropy(argmax of the teacher)

    Label smoothing changes only the labels. As in the paper, the teacher's decision stays hard.

    Source: Touvron et al. 2021, arXiv:2012.12877, equation 3. The paper uses the weight 0.5.
    """

    name: ClassVar[str] = "hard_labels"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = Needs.LOGITS
    weight: float = param(0.5, FloatRange(0.0, 1.0))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError(
                "batch.teacher must hold the teacher's logits for hard_labels, but is None: "
                "give it the logits"
            )
        teacher_loss = functional.cross_entropy(batch.student, batch.teacher.argmax(dim=1))
        label_loss = batch.label_loss(label_smoothing)
        return self.weight * teacher_loss + (1 - self.weight) * label_loss
