"""Several teachers weighted by confidence. Zhang et al. 2022 (CA-MKD), arXiv:2201.00007."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.method import FloatRange, param


def confidences(members: Tensor, labels: Tensor) -> Tensor:
    """Return each teacher's share in teaching each image, [teachers, batch]; they sum to 1.

    w = (1 - softmax over the teachers of their cross-entropies) / (teachers - 1): the teacher that
    is nearest to the label has the largest share. A single teacher's share is 1.

    Args:
        members: logits, [teachers, batch, classes].
        labels: [batch], int64, or shares of classes, [batch, classes].

    Source: Zhang et al. 2022, arXiv:2201.00007, section 2.
    """
    if len(members) == 1:
        return torch.ones_like(members[:, :, 0])
    losses = [functional.cross_entropy(logits, labels, reduction="none") for logits in members]
    return (1 - torch.stack(losses).softmax(dim=0)) / (len(members) - 1)


@dataclass(frozen=True)
class Confidence(Distillation):
    """Each of several teachers' softened predictions, by how right it is on the image.

    loss = (1 - weight) · cross-entropy + weight · T² · mean over images of the sum over teachers of
    w · divergence from that teacher, with w by its cross-entropy with the label. With a single
    teacher it is `soft_targets`. The paper weights intermediate features too; here it is the
    logits, so that no teacher runs in a trial.

    Source: Zhang et al. 2022 (CA-MKD), arXiv:2201.00007, section 2.
    """

    name: ClassVar[str] = "confidence"
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(4.0, FloatRange(1.0, 20.0, log=True))
    weight: float = param(0.7, FloatRange(0.0, 1.0))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.members is None:
            raise ValueError("confidence needs the teacher's logits, but the batch has none")
        members = batch.members.detach().float()
        softened = (batch.student / self.temperature).log_softmax(dim=1).expand_as(members)
        divergences = functional.kl_div(
            softened,
            (members / self.temperature).log_softmax(dim=2),
            reduction="none",
            log_target=True,
        ).sum(dim=2)  # [teachers, batch]
        taught = (confidences(members, batch.labels) * divergences).sum(dim=0).mean()
        true = functional.cross_entropy(
            batch.student, batch.labels, label_smoothing=label_smoothing
        )
        return self.weight * taught * self.temperature**2 + (1 - self.weight) * true
