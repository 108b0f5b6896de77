"""Relational knowledge distillation. Park et al. 2019, arXiv:1904.05068."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import FeatureDistillation
from spaces.features import Feature, Pairing
from spaces.method import FloatRange, param

_EPSILON = 1e-12
# The number of angles is the cube of the number of images. So the loss is computed in blocks, none
# of whose tensors has more numbers than this, or than one image of the batch needs.
_BLOCK_NUMBERS = 2**18


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


def angles(embeddings: Tensor, corners: slice = slice(None)) -> Tensor:
    """Return the cosines of the angles between images, [corners, batch, batch].

    Element [i, j, k] is the cosine of the angle at the corner i between the images j and k.

    Args:
        embeddings: [batch, dimensions].
        corners: the images whose angles to return; all by default.

    Source: Park et al. 2019, arXiv:1904.05068, equation 9.
    """
    directions = embeddings[None, :, :] - embeddings[corners, None, :]  # [at, to, dimensions]
    directions = functional.normalize(directions, dim=2)
    return directions @ directions.transpose(1, 2)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber loss of the angles, the mean over all triples of images, a scalar.

    The loss and its gradient are exact for any size of the batch.

    Args:
        student: embeddings, [batch, dimensions].
        teacher: embeddings, [batch, dimensions]; the number of dimensions may differ.

    Source: Park et al. 2019, arXiv:1904.05068, equation 10.
    """
    loss: Tensor = _AngleLoss.apply(student, teacher)
    return loss


class _AngleLoss(torch.autograd.Function):
    """The loss of the angles; each block adds its part of the gradient and is then forgotten."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        images, needs_slope = len(student), ctx.needs_input_grad[0]
        by_corner = images * max(images, student.shape[1], teacher.shape[1])
        step = max(1, _BLOCK_NUMBERS // by_corner)
        total, slope = student.new_zeros(()), torch.zeros_like(student)
        for start in range(0, images, step):
            corners = slice(start, start + step)
            with torch.set_grad_enabled(needs_slope):
                own = student.detach().requires_grad_(needs_slope)
                loss = functional.smooth_l1_loss(
                    angles(own, corners), angles(teacher.detach(), corners), reduction="sum"
                )
            if needs_slope:
                slope += torch.autograd.grad(loss, own)[0]
            total += loss.detach()
        ctx.save_for_backward(slope / images**3)
        return total / images**3

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return upstream * slope, None


@dataclass(frozen=True)
class RKD(FeatureDistillation):
    """Relations between the images of a batch: distances and angles of their embeddings.

    loss = cross-entropy + weight · (Huber loss of relative distances + angle_weight · Huber loss of
    angles). The embedding of an image is the mean of a network's last feature map over its pixels.
    Distances and angles do not depend on the number of channels, so the method trains no
    projectors. The loss compares all pairs and triples of images of a batch. The time for the
    triples grows with the cube of the batch size.

    Source: Park et al. 2019, arXiv:1904.05068, equations 7 to 10. The paper uses the weights 25
    for distances and 50 for angles. https://github.com/lenscloth/RKD.
    """

    name: ClassVar[str] = "rkd"
    version: ClassVar[int] = 2
    weight: float = param(25.0, FloatRange(0.1, 250.0, log=True))
    angle_weight: float = param(2.0, FloatRange(0.0, 10.0))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return [(student[-1], teacher[-1])]

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        own, target = (maps.mean(dim=(2, 3)) for maps in (student, teacher))
        distance_loss = functional.smooth_l1_loss(distances(own), distances(target))
        return distance_loss + self.angle_weight * angle_loss(own, target)
