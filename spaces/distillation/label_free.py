"""Distillation without labels. Beyer et al. 2021, arXiv:2106.05237."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distillation.soft_targets import soft_target_loss
from spaces.method import FloatRange, param


@dataclass(frozen=True)
class LabelFree(Distillation):
    """The teacher's softened predictions and nothing else: no label of any image is used.

    A student learns from the training images and, where the study names a folder of them
    (`data.unlabelled`), from images without labels too: an epoch is then longer. The teacher is
    asked about all of them, once. Label smoothing, which is the labels', does nothing here.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2, for the loss; Beyer et al. 2021,
    arXiv:2106.05237, for training on the teacher alone.
    """

    name: ClassVar[str] = "label_free"
    needs: ClassVar[Needs] = Needs.LOGITS
    uses_labels: ClassVar[bool] = False
    temperature: float = param(2.0, FloatRange(1.0, 20.0, log=True))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError("label_free needs the teacher's logits, but the batch has none")
        return soft_target_loss(batch.student, batch.teacher, temperature=self.temperature)
