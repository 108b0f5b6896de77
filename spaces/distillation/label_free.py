"""Distillation without labels. Beyer et al. 2021, arXiv:2106.05237."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distillation.soft_targets import soft_target_loss
from spaces.method import FloatRange, param


@dataclass(frozen=True)
class LabelFree(Distillation):
    """Soft targets without the true labels.

    The student is trained on the training images. If the study names a folder of unlabelled images
    (`data.unlabelled`), the student is trained on them too, so an epoch has more steps. The
    teacher's logits of all these images are computed once. Label smoothing has no effect.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2 (the loss); Beyer et al. 2021,
    arXiv:2106.05237 (training without labels).
    """

    name: ClassVar[str] = "label_free"
    needs: ClassVar[Needs] = Needs.LOGITS
    uses_labels: ClassVar[bool] = False
    temperature: float = param(2.0, FloatRange(1.0, 20.0, log=True))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError(
                "batch.teacher must hold the teacher's logits for label_free, but is None: "
                "give it the logits"
            )
        return soft_target_loss(batch.student, batch.teacher, temperature=self.temperature)
