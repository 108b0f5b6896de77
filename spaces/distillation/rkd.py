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
# Angles take the cube of this in memory, so larger batches are divided.
_GROUP = 64


def distances(embeddings: Tensor) -> Tensor:
    """Return the images' distances, [batch, batch], relative to the mean of those above 0.

    Args:
        embeddings: [batch, dimensions].

    Source: Park et al. 2019, arXiv:1904.05068, equations 6 and 7.
    """
    squares = embeddings.square().sum(dim=1)
    between = squares[:, None] + squares[None, :] - 2 * embeddings @ embeddings.T
    apart = between.clamp(min=_EPSILON).sqrt()
    apart = apart * (1 - torch.eye(len(embeddings), device=embeddings.device))
    positive = apart > 0
    return apart / apart[positive].mean() if positive.any() else apart


def angles(embeddings: Tensor) -> Tensor:
    """Return the cosine of the angle at each image between each two others, [batch, batch, batch].

    Args:
        embeddings: [batch, dimensions].

    Source: Park et al. 2019, arXiv:1904.05068, equation 9.
    """
    directions = embeddings[None, :, :] - embeddings[:, None, :]  # [at, to, dimensions]
    directions = functional.normalize(directions, dim=2)
    return directions @ directions.transpose(1, 2)


@dataclass(frozen=True)
class RKD(FeatureDistillation):
    """How the images of a batch lie to one another: their distances and angles in the last map.

    loss = cross-entropy + weight · (Huber of relative distances + angle_weight · Huber of angles),
    of each network's last map, averaged over its places. Neither depends on the number of channels,
    so that nothing is learned beside the student. Angles are taken among up to 64 images at a time.

    Source: Park et al. 2019, arXiv:1904.05068, equations 7 to 10; there the weights of distances
    and angles are 25 and 50. https://github.com/lenscloth/RKD.
    """

    name: ClassVar[str] = "rkd"
    weight: float = param(25.0, FloatRange(0.1, 250.0, log=True))
    angle_weight: float = param(2.0, FloatRange(0.0, 10.0))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return [(student[-1], teacher[-1])]

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        own, taught = (maps.mean(dim=(2, 3)) for maps in (student, teacher))
        by_distance = functional.smooth_l1_loss(distances(own), distances(taught))
        groups = math.ceil(len(own) / _GROUP)
        by_angle = [
            functional.smooth_l1_loss(angles(some), angles(others))
            for some, others in zip(own.chunk(groups), taught.chunk(groups), strict=True)
        ]
        return by_distance + self.angle_weight * torch.stack(by_angle).mean()
