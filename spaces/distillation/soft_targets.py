"""Soft targets. Hinton, Vinyals, Dean 2015, arXiv:1503.02531."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distillation.standardization import comparable
from spaces.method import FloatRange, OneOf, param


def soft_target_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Return the divergence of the student's softened predictions from the teacher's.

    Args:
        student: logits, [batch, classes].
        teacher: logits, [batch, classes]; gradients are not taken.
        temperature: above 0; 1 does not soften the predictions.

    Returns:
        Scalar in nats, times temperature², so that the scale of gradients does not change.

    Raises:
        ValueError: the temperature is not above 0.

    Source: Hinton et al. 2015, section 2, arXiv:1503.02531.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, but got {temperature}")
    softened = functional.log_softmax(student / temperature, dim=1)
    target = functional.log_softmax(teacher.detach().float() / temperature, dim=1)
    divergence = functional.kl_div(softened, target, reduction="batchmean", log_target=True)
    return divergence * temperature**2


@dataclass(frozen=True)
class SoftTargets(Distillation):
    """Divergence from the teacher's softened predictions, mixed with the true labels.

    loss = weight · T² · divergence + (1 - weight) · loss on the labels.

    `standardize` gives the logits of student and teacher mean 0 and standard deviation 1 before
    they are softened. So the student matches the relations of the teacher's logits, not their
    range, which a small student can't reach. Standardised predictions are softer and differ less,
    so the authors train with 9 times the divergence (weights of 9 and 0.1, instead of 0.9 and 0.1)
    and a temperature of 2. Here `standardize` multiplies the divergence by 9; a `temperature` of 2
    and a `weight` of 0.909 give the authors' ratio. With two classes, standardised logits say
    nothing but which is larger.

    Source: Hinton et al. 2015, arXiv:1503.02531; Sun et al. 2024, arXiv:2403.01427 (standardize).
    """

    name: ClassVar[str] = "soft_targets"
    needs: ClassVar[Needs] = Needs.LOGITS
    temperature: float = param(4.0, FloatRange(1.0, 20.0, log=True))
    weight: float = param(0.7, FloatRange(0.0, 1.0))
    standardize: bool = param(False, OneOf((False, True)))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError(
                "batch.teacher must hold the teacher's logits for soft_targets, but is None: "
                "give it the logits"
            )
        student, teacher, scale = comparable(
            batch.student, batch.teacher, standardize=self.standardize
        )
        soft = scale * soft_target_loss(student, teacher, temperature=self.temperature)
        hard = batch.label_loss(label_smoothing)
        return self.weight * soft + (1 - self.weight) * hard
