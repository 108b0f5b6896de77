"""The first axis: the network to train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

NO_WEIGHTS, TEACHERS_WEIGHTS = "none", "teacher"
"""The values of a student's weights that name no file."""


@dataclass(frozen=True)
class Student(Method, ABC):
    """The network to train."""

    axis: ClassVar[str] = "student"
    shrinks: ClassVar[Shrinks] = NOTHING

    @property
    def timm_model(self) -> str | None:
        """The timm model with the same weights by name and shape; None for any other network."""
        return None

    @property
    def is_timms_own(self) -> bool:
        """Whether timm builds the same network from only the model's name."""
        return False

    @property
    def is_pretrained(self) -> bool:
        """Whether the network starts with trained weights, so that its training is fine-tuning."""
        return self.given_weights is not None

    @property
    def given_weights(self) -> str | None:
        """The weights that the study supplies: `teacher`, or a file's path; None: none."""
        return None

    def build_from(
        self, weights: Mapping[str, Tensor], *, classes: int, channels: int, image_size: int
    ) -> nn.Module:
        """Return the network with the weights that `given_weights` names.

        Args:
            weights: a state dict of the network.
            classes: number of outputs, and of the classes of the weights.
            channels: number of image channels, 1 or 3.
            image_size: height and width, in pixels.

        Raises:
            ValueError, RuntimeError: the weights are not those of the network.
        """
        raise NotImplementedError(f"{self.name} takes no given weights")

    @property
    def starts_trained(self) -> bool:
        """Whether the weights predict the data's classes already, so that no training is needed."""
        return False

    @property
    def normalization(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """The mean and standard deviation that the network's own weights expect; None: any."""
        return None

    @abstractmethod
    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        """Return the network.

        It maps [batch, channels, image_size, image_size] to logits [batch, classes], by a linear
        layer or a convolution. All of its state is in its `state_dict`. Distillations that compare
        features also call `forward_intermediates` and `forward_head`, as timm's networks have them.

        torch's global generator provides the random weights.

        Args:
            classes: number of outputs.
            channels: number of image channels, 1 or 3.
            image_size: height and width, in pixels.
            blank: whether to skip the pretrained weights, because the caller loads other weights.

        Raises:
            ValueError: there is no such network, or it does not support such images.
            OSError: the pretrained weights can't be read.
        """
