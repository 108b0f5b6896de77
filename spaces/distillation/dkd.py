"""Decoupled knowledge distillation. Zhao et al. 2022, arXiv:2203.08679."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distillation.standardization import comparable
from spaces.method import FloatRange, OneOf, param


def decoupled(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return two distributions: target against non-target classes, and among the latter.

    Args:
        logits: [batch, classes], at least two classes.
        target: the target class of each image, [batch], int64.

    Returns:
        Logarithms of the probabilities of the target class and of all other classes together,
        [batch, 2]. Logarithms of the probability of each other class, normalised over the other
        classes, [batch, classes - 1].
    """
    is_target = functional.one_hot(target, logits.shape[1]).bool()
    others = logits[~is_target].view(len(logits), -1)  # [batch, classes - 1]
    binary = torch.stack([logits[is_target], others.logsumexp(dim=1)], dim=1)  # [batch, 2]
    return binary.log_softmax(dim=1), others.log_softmax(dim=1)


@dataclass(frozen=True)
class DKD(Distillation):
    """Decoupled soft targets: separate losses for the true class and for the other classes.

    loss = loss on the labels + T² · (target_weight · TCKD + others_weight · NCKD). TCKD is the
    divergence of (p, 1 - p), where p is the probability of the true class. NCKD is the divergence
    of the probabilities of the other classes, normalised over them. Soft targets couple these
    terms: they weight NCKD by the teacher's 1 - p, so that it is small where the teacher is
    confident.

    If labels are shares of classes, the true class is the class with the largest share.

    The defaults are the authors' for CIFAR-100: the loss on the labels has the weight 1,
    `target_weight` (their alpha) is 1, `others_weight` (their beta) is 8, and the temperature is 4.
    For some pairs of teacher and student they choose a smaller `others_weight`: 2 on CIFAR-100, 0.5
    on ImageNet. They multiply the divergence by epoch / 20 in the first 20 of 240 epochs. Trainings
    here are shorter, so `warmup` is a share of the steps of each phase of training, over which the
    divergence grows linearly: a twelfth by default. For the authors' 20 epochs in a training of
    another length, set it to 20 / epochs.

    `standardize` gives the logits of student and teacher mean 0 and standard deviation 1 before the
    temperature, and multiplies the divergence by 9, as in `soft_targets`. Sun et al. train with the
    weights 9 and 81 and the temperature 4, so with an `others_weight` of 9.

    Source: Zhao et al. 2022, arXiv:2203.08679, equation 7, https://github.com/megvii-research/mdistiller;
    Sun et al. 2024, arXiv:2403.01427 (standardize).
    """

    name: ClassVar[str] = "dkd"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(4.0, FloatRange(1.0, 20.0, log=True))
    target_weight: float = param(1.0, FloatRange(0.0, 4.0))
    others_weight: float = param(8.0, FloatRange(0.1, 10.0, log=True))
    warmup: float = param(20 / 240, FloatRange(0.0, 1.0))
    standardize: bool = param(False, OneOf((False, True)))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError(
                "batch.teacher must hold the teacher's logits for dkd, but is None: "
                "give it the logits"
            )
        labels = batch.labels
        target = labels if labels.ndim == 1 else labels.argmax(dim=1)
        student, teacher, scale = comparable(
            batch.student, batch.teacher, standardize=self.standardize
        )
        student_parts = decoupled(student / self.temperature, target)
        teacher_parts = decoupled(teacher / self.temperature, target)
        target_loss, others_loss = (
            functional.kl_div(own, taught, reduction="batchmean", log_target=True)
            for own, taught in zip(student_parts, teacher_parts, strict=True)
        )
        label_loss = batch.label_loss(label_smoothing)
        divergence = self.target_weight * target_loss + self.others_weight * others_loss
        if self.warmup:
            scale *= min(1.0, batch.progress / self.warmup)
        return label_loss + scale * divergence * self.temperature**2
