"""The requirements on every student of a study: its inputs, its outputs, and its budget."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.config.target_settings import TargetSettings
from search.objectives.budget import Budget
from search.targets.registry import runtime
from search.targets.target import Runtime
from spaces.axes.student import Student
from spaces.students.normalization import conversion, fold_normalization

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
        mean: the mean by which the images are normalised, for each channel; empty: as the student's
            own weights expect.
        std: the standard deviation that belongs to it.
        weights: each pair of given weights and timm model that fit each other.
    """

    classes: int
    channels: int
    image_size: int
    budget: Budget
    target: TargetSettings
    metadata_bytes: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()

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

    def conflict(self, student: Student) -> str | None:
        """Return the reason why the study can't give the student its weights; None if it can."""
        given, model = student.given_weights, student.timm_model
        if given is None or (given, model) in self.weights:
            return None
        return f"student.{student.name}: weights: {given} must be those of {model}, but are not"

    def build(
        self,
        student: Student,
        *,
        blank: bool = False,
        weights: Mapping[str, Tensor] | None = None,
    ) -> nn.Module:
        """Build the student's network, on the CPU.

        Args:
            student: the method.
            blank: whether to leave all pretrained and given weights out.
            weights: the weights that the student's `given_weights` names.
        """
        if weights is not None and not blank:
            return student.build_from(
                weights,
                classes=self.classes,
                channels=self.channels,
                image_size=self.image_size,
            )
        network = student.build(
            classes=self.classes, channels=self.channels, image_size=self.image_size, blank=blank
        )
        if self.mean and not blank and student.normalization is not None:
            # The images have the data's normalisation, the weights expect their own.
            scale, offset = conversion((self.mean, self.std), student.normalization)
            fold_normalization(network, scale, offset, self.example())
        return network
