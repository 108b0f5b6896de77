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
    """The optimizer that updates the weights, and the schedule of its learning rate."""

    optimizer: Optimizer
    scheduler: Scheduler


@dataclass(frozen=True)
class Training(Method, ABC):
    """How the student's weights are fitted.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        label_smoothing: the share of each label that is spread over all classes.
        mixup: parameter of the Beta distribution of the shares in which images are mixed; 0 turns
            mixing off.
        cutmix: parameter of the Beta distribution of the pasted areas; 0 turns pasting off.
        erasing: probability of erasing a rectangle of an image; 0 turns erasing off.
        ema: decay of the weights' moving average, which is then the result of the training; 0 turns
            averaging off.
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
        """Return the optimizer and the schedule to train `model` for this many epochs."""
