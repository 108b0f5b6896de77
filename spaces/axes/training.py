"""The second axis: how the student's weights are fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from timm.scheduler.scheduler import Scheduler
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class OptimizationSteps:
    """What updates the weights, and how its learning rate changes over the steps."""

    optimizer: Optimizer
    scheduler: Scheduler


@dataclass(frozen=True)
class Training(Method, ABC):
    """How the student's weights are fitted.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        label_smoothing: share of each label that is spread over all classes.
        mixup: parameter of the Beta distribution of shares by which images are mixed; 0: none.
        cutmix: likewise, of shares by which they are cut and pasted.
        erasing: probability with which a rectangle of an image is erased; 0: none.
        ema: decay of the weights' moving average, which then is what was trained; 0: none.
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
        """Optimizer and schedule for training `model` over so many epochs."""
