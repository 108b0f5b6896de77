"""The requirements on every student of a study: its inputs, its outputs, and its budget."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.config.target_settings import TargetSettings
from search.objectives.budget import Budget
from search.targets.registry import runtime
from search.targets.target import Runtime
from spaces.axes.student import Student

# Bump it when `build` asks the method of a student for a different network.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StudentRequirements:
    """The requirements on every student of a study.

    Attributes:
        classes: the number of outputs.
        channels: the channels of the images, 1 or 3.
        image_size: height and width of the images, in pixels.
        budget: the limits on its costs.
        target: the target on which the budget must hold.
        metadata_bytes: the metadata in a student's file, in bytes; part of its size.
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
        """The runtime that serves the student."""
        return runtime(self.target.runtime)

    def example(self) -> Tensor:
        """Return one input, [1, channels, height, width]."""
        return torch.zeros(1, *self.image_shape)

    def build(self, student: Student, *, blank: bool = False) -> nn.Module:
        """Build the student's network, on the CPU; `blank` leaves pretrained weights out."""
        return student.build(
            classes=self.classes, channels=self.channels, image_size=self.image_size, blank=blank
        )
