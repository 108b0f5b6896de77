"""Relational knowledge distillation. Park et al. 2019, arXiv:1904.05068."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import FeatureDistillation
from spaces.features import Feature, Pairing
from spaces.method import FloatRange, param

_EPSILON = 1e-12
# The memory for angles grows with the cube of the number of images, so larger batches are split.
_LARGEST_GROUP = 64


def distances(embeddings: Tensor) -> Tensor:
    """Return the distances between images, [batch, batch], divided by their mean above 0.

    Args:
        embeddings: [batch, dimensions].

    Source: Park et al. 2019, arXiv:1904.05068, equations 6 and 7.
    """
    squares = embeddings.square().sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * embeddings @ embeddings.T
    absolute = squared.clamp(min=_EPSILON).sqrt()
    absolute = absolute * (1 - torch.eye(len(embeddings), device=embeddings.device))
    positive = absolute > 0
    return absolute / absolute[positive].mean() if positive.any() else absolute


def angles(embeddings: Tensor) -> Tensor:
    """Return the cosines of the angles between images, [batch, batch, batch].

    Element [i, j, k] is the cosine of the angle at image i between the images j and k.

    Args:
        embeddings: [batch, dimensions].

    Source: Park et al. 2019, arXiv:1904.05068, equation 9.
    """
    directions = embeddings[None, :, :] - embeddings[:, None, :]  # [at, to, dimensions]
    directions = functional.normalize(directions, dim=2)
    return directions @ directions.transpose(1, 2)


@dataclass(frozen=True)
class RKD(FeatureDistillation):
    """Relations between the images of a batch: distances and angles of their embeddings.

    loss = cross-entropy + weight · (Huber loss of relative distances + angle_weight · Huber loss of
    angles). The embedding of an image is the mean of a network's last feature map over its pixels.
    Distances and angles do not depend on the number of channels, so the method trains no
    projectors. The code computes angles among at most 64 images at a time.

    Source: Park et al. 2019, arXiv:1904.05068, equations 7 to 10. The paper uses the weights 25
    for distances and 50 for angles. https://github.com/lenscloth/RKD.
    """

    name: ClassVar[str] = "rkd"
    weight: float = param(25.0, FloatRange(0.1, 250.0, log=True))
    angle_weight: float = param(2.0, FloatRange(0.0, 10.0))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return [(student[-1], teacher[-1])]

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        own, target = (maps.mean(dim=(2, 3)) for maps in (student, teacher))
        distance_loss = functional.smooth_l1_loss(distances(own), distances(target))
        groups = math.ceil(len(own) / _LARGEST_GROUP)
        angle_losses = [
            functional.smooth_l1_loss(angles(own_group), angles(target_group))
            for own_group, target_group in zip(own.chunk(groups), target.chunk(groups), strict=True)
        ]
        return distance_loss + self.angle_weight * torch.stack(angle_losses).mean()
