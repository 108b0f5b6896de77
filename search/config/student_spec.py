"""What every student of a study must be: what it takes, what it gives, and what it may cost."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.config.study import TargetSettings
from search.objectives.budget import Budget
from search.targets.registry import runtime
from search.targets.target import Runtime
from spaces.axes.student import Student

# Bump it when a student's method is asked for another network.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StudentRequirements:
    """What every student of a study must be.

    Attributes:
        classes: outputs.
        channels: of the images, 1 or 3.
        image_size: height and width of the images, in pixels.
        budget: what it may cost.
        target: where it may cost so much.
        metadata_bytes: what a student's file says of itself, in bytes; part of its size.
    """

    classes: int
    channels: int
    image_size: int
    budget: Budget
    target: TargetSettings
    metadata_bytes: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.image_size, self.image_size

    @property
    def runtime(self) -> Runtime:
        """What serves it."""
        return runtime(self.target.runtime)

    def example(self) -> Tensor:
        """One input, [1, channels, height, width]."""
        return torch.zeros(1, *self.image_shape)

    def build(self, student: Student, *, blank: bool = False) -> nn.Module:
        """The student's network, on the CPU; `blank` leaves pretrained weights out."""
        return student.build(
            classes=self.classes, channels=self.channels, image_size=self.image_size, blank=blank
        )
