"""Decoupled knowledge distillation. Zhao et al. 2022, arXiv:2203.08679."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.method import FloatRange, param


def decoupled(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return two distributions: target or not, and which of the other classes if not.

    Args:
        logits: [batch, classes], at least two classes.
        target: a class of each image, [batch], int64.

    Returns:
        Logarithms of the probability of the target and of all others together, [batch, 2]; and of
        each other class among the others, [batch, classes - 1].
    """
    is_target = functional.one_hot(target, logits.shape[1]).bool()
    others = logits[~is_target].view(len(logits), -1)  # [batch, classes - 1]
    binary = torch.stack([logits[is_target], others.logsumexp(dim=1)], dim=1)  # [batch, 2]
    return binary.log_softmax(dim=1), others.log_softmax(dim=1)


@dataclass(frozen=True)
class DKD(Distillation):
    """The teacher's softened predictions in two parts: of the true class, and among the others.

    loss = cross-entropy + target_weight · TCKD + others_weight · NCKD, where TCKD is the divergence
    of (p, 1 - p), with p the true class's probability, and NCKD that of the probabilities of the
    other classes among themselves; both at the temperature, times its square. Soft targets couple
    the two: there NCKD is weighted by the teacher's 1 - p, and vanishes where the teacher is sure.

    Where labels are shares of classes, the largest share is the true class. The paper lets the
    divergence grow over twenty epochs; here it is whole from the first.

    Source: Zhao et al. 2022, arXiv:2203.08679, equation 7; https://github.com/megvii-research/mdistiller.
    """

    name: ClassVar[str] = "dkd"
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(4.0, FloatRange(1.0, 20.0, log=True))
    target_weight: float = param(1.0, FloatRange(0.0, 4.0))
    others_weight: float = param(2.0, FloatRange(0.1, 10.0, log=True))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError("DKD needs the teacher's logits, but the batch has none")
        labels = batch.labels
        target = labels if labels.ndim == 1 else labels.argmax(dim=1)
        own = decoupled(batch.student / self.temperature, target)
        taught = decoupled(batch.teacher.detach().float() / self.temperature, target)
        of_target, among_others = (
            functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
            for student, teacher in zip(own, taught, strict=True)
        )
        true = functional.cross_entropy(batch.student, labels, label_smoothing=label_smoothing)
        divergence = self.target_weight * of_target + self.others_weight * among_others
        return true + divergence * self.temperature**2
