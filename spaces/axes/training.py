"""The second axis: the optimization of the student's weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spaces.distributions import IntRange
from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from timm.scheduler.scheduler import Scheduler
    from torch import nn
    from torch.optim import Optimizer


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

    @abstractmethod
    def fit(self, model: nn.Module, *, epochs: int, steps_per_epoch: int) -> OptimizationSteps:
        """Return the optimizer and the schedule for `epochs` epochs of training of `model`."""


def most_epochs(method: type[Method]) -> int | None:
    """Return the most epochs that a training method allows; None if it states no limit."""
    distribution = method.distributions().get("epochs")
    return distribution.high if isinstance(distribution, IntRange) else None
