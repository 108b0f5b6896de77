"""The first axis: the network to train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Student(Method, ABC):
    """Which network is trained."""

    axis: ClassVar[str] = "student"
    shrinks: ClassVar[Shrinks] = NOTHING

    @property
    def is_timms_own(self) -> bool:
        """Whether timm builds the same network from the model's name alone."""
        return True

    @abstractmethod
    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        """Return the network.

        It maps [batch, channels, image_size, image_size] to logits [batch, classes].

        Random weights come from torch's global generator.

        Args:
            classes: number of outputs.
            channels: of the images, 1 or 3.
            image_size: height and width, in pixels.
            blank: leave out pretrained weights, since others will be loaded.

        Raises:
            ValueError: there is no such network, or it can't take such images.
            OSError: pretrained weights can't be read.
        """
