"""The second axis: the optimization of the student's weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from spaces.axes.label_loss import CLASS_WEIGHTS, CROSS_ENTROPY, LOSSES, UNWEIGHTED
from spaces.axes.student import Student
from spaces.distributions import IntRange
from spaces.method import FloatRange, Method, OneOf, param
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from timm.scheduler.scheduler import Scheduler
    from torch import nn
    from torch.optim import Optimizer

UNIFORM, BALANCED = "uniform", "balanced"
AUTO = "auto"


@dataclass(frozen=True)
class OptimizationSteps:
    """The optimizer that updates the weights, and the schedule of its learning rate."""

    optimizer: Optimizer
    scheduler: Scheduler


@dataclass(frozen=True)
class Training(Method, ABC):
    """The optimization of the student's weights.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        label_smoothing: share of each label to distribute over all classes.
        mixup: parameter of the Beta distribution of mixup's mixing ratio; 0 disables mixup.
        cutmix: parameter of the Beta distribution of CutMix's area; 0 disables CutMix.
        erasing: probability of random erasing for an image; 0 disables it.
        ema: decay of the exponential moving average of the weights. If above 0, the result of the
            training is the average. 0 disables averaging.
        label_loss: the loss on the true labels, `cross_entropy` or `bce`; see `LabelLoss`.
        class_weights: the weight of a class in this loss, `none`, `inverse` or `effective`; see
            `spaces.axes.label_loss.class_weights`.
        sampling: the images of an epoch, `uniform` (each image once) or `balanced` (all classes
            equally often).
        clip_norm: the largest L2 norm of a step's gradient, over all weights; 0 does not clip.
        drop_path: the probability that an image skips the residual branch of the last block, and
            proportionally less in earlier blocks; 0 disables it. It has no effect on a student
            without such branches.
        freeze_statistics: whether batch normalisations keep their mean and variance; their scales
            and biases are trained. `auto` is false until `prepared_for` decides by the student:
            true if it has given weights.
    """

    axis: ClassVar[str] = "training"
    shrinks: ClassVar[Shrinks] = NOTHING
    epochs: int
    batch_size: int
    label_smoothing: float
    mixup: float
    cutmix: float
    erasing: float
    ema: float
    # Parameters of later versions have defaults, so that other trainings need not declare them.
    label_loss: str = param(CROSS_ENTROPY, OneOf(LOSSES))
    class_weights: str = param(UNWEIGHTED, OneOf(CLASS_WEIGHTS))
    sampling: str = param(UNIFORM, OneOf((UNIFORM, BALANCED)))
    clip_norm: float = param(0.0, FloatRange(0.0, 100.0))
    drop_path: float = param(0.0, FloatRange(0.0, 0.9))
    freeze_statistics: bool | str = param(AUTO, OneOf((AUTO, False, True)), absent=False)

    def prepared_for(self, student: Student) -> Self:
        """Return this training for a student: with what depends on it, such as a learning rate.

        An override calls this one, which decides what all trainings share.
        """
        if self.freeze_statistics != AUTO:
            return self
        return replace(self, freeze_statistics=student.is_pretrained)

    @abstractmethod
    def fit(self, model: nn.Module, *, epochs: int, steps_per_epoch: int) -> OptimizationSteps:
        """Return the optimizer and the schedule for `epochs` epochs of training of `model`."""


def most_epochs(method: type[Method]) -> int | None:
    """Return the most epochs that a training method allows; None if it states no limit."""
    distribution = method.distributions().get("epochs")
    return distribution.high if isinstance(distribution, IntRange) else None
