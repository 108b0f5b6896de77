"""Training on the true labels without a teacher: the baseline for distillation."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs


@dataclass(frozen=True)
class Labels(Distillation):
    """Cross-entropy with the true labels, without a teacher."""

    name: ClassVar[str] = "labels"
    needs: ClassVar[Needs] = Needs.NOTHING

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        return functional.cross_entropy(
            batch.student, batch.labels, label_smoothing=label_smoothing
        )
