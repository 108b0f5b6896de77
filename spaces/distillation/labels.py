"""Training on the true labels without a teacher: the baseline for distillation."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.axes.distillation import Distillation, DistillationBatch, Needs


@dataclass(frozen=True)
class Labels(Distillation):
    """Cross-entropy with the true labels, without a teacher."""

    name: ClassVar[str] = "labels"
    needs: ClassVar[Needs] = Needs.NOTHING

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        return batch.label_loss(label_smoothing)
