"""Confidence-weighted teachers. Zhang et al. 2022 (CA-MKD), arXiv:2201.00007."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.method import FloatRange, param


def confidences(members: Tensor, labels: Tensor) -> Tensor:
    """Return each teacher's weight for each image, [teachers, batch].

    The weights of an image sum to 1.

    w = (1 - softmax over the teachers of their cross-entropies) / (teachers - 1). The teacher with
    the lowest cross-entropy has the largest weight. A single teacher has the weight 1.

    Args:
        members: logits, [teachers, batch, classes].
        labels: [batch], int64, or the share of each class, [batch, classes].

    Source: Zhang et al. 2022, arXiv:2201.00007, section 2.
    """
    if len(members) == 1:
        return torch.ones_like(members[:, :, 0])
    losses = [functional.cross_entropy(logits, labels, reduction="none") for logits in members]
    return (1 - torch.stack(losses).softmax(dim=0)) / (len(members) - 1)


@dataclass(frozen=True)
class Confidence(Distillation):
    """Soft targets from several teachers, weighted by their confidence in the true class.

    loss = (1 - weight) · cross-entropy + weight · T² · mean over images of the sum over teachers of
    w · divergence from that teacher. `confidences` defines w. With one teacher the method is the
    same as `soft_targets`. The paper also weights intermediate features. This code uses only
    logits, so that no trial runs a teacher.

    Source: Zhang et al. 2022 (CA-MKD), arXiv:2201.00007, section 2.
    """

    name: ClassVar[str] = "confidence"
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(4.0, FloatRange(1.0, 20.0, log=True))
    weight: float = param(0.7, FloatRange(0.0, 1.0))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.members is None:
            raise ValueError(
                "batch.members must hold the teacher's logits for confidence, but is None: "
                "give it the logits"
            )
        members = batch.members.detach().float()
        softened = (batch.student / self.temperature).log_softmax(dim=1).expand_as(members)
        divergences = functional.kl_div(
            softened,
            (members / self.temperature).log_softmax(dim=2),
            reduction="none",
            log_target=True,
        ).sum(dim=2)  # [teachers, batch]
        teacher_loss = (confidences(members, batch.labels) * divergences).sum(dim=0).mean()
        label_loss = batch.label_loss(label_smoothing)
        return self.weight * teacher_loss * self.temperature**2 + (1 - self.weight) * label_loss
