"""What all trials of a study share, and what each of them builds from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from search.budget import Budget
from search.config import Target
from search.data.dataset import Dataset
from search.data.views import View
from search.records import Scalar
from search.training import Targets
from spaces.axes import Student


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all trials of a study share.

    Attributes:
        study: the study's name.
        dataset: the images.
        views: the augmented views that students see.
        targets: the teacher's logits for these views; None where no open method asks for them.
        teacher_classes: the teacher's predictions for the validation images, [images], int64.
        budget: what a student may cost.
        target: where it may cost so much.
        device: where students are trained.
        artifacts: the folder of the study's artifacts.
        origin: hashes and versions, written into each artifact.
    """

    study: str
    dataset: Dataset
    views: tuple[View, ...]
    targets: Targets | None
    teacher_classes: np.ndarray
    budget: Budget
    target: Target
    device: str
    artifacts: Path
    origin: Mapping[str, Scalar]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what a student takes."""
        info = self.dataset.info
        return info.channels, info.image_size, info.image_size

    def example(self) -> Tensor:
        """One input, [1, channels, height, width]."""
        return torch.zeros(1, *self.image_shape)

    def build(self, student: Student, *, blank: bool = False) -> nn.Module:
        """The student's network for these images, on the CPU."""
        info = self.dataset.info
        return student.build(
            classes=len(info.classes),
            channels=info.channels,
            image_size=info.image_size,
            blank=blank,
        )
