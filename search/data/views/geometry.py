"""The geometry of a view: where the pixels of the view lie in the image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from search.data.views.augmentation import Augmentation
from search.data.views.draws import Decision, Draws
from search.data.views.policy import Kind, Operation


def turn_matrices(
    draws: Draws, augmentation: Augmentation, operations: Sequence[Operation]
) -> Tensor | None:
    """Return rotations, shears and translations as maps of places, [batch, 3, 3].

    Places are as in `crop_matrices`. The maps lead from the view to the crop.

    Returns:
        The maps; None if the augmentation has none of these changes.
    """
    if not augmentation.rotation and not operations:
        return None
    largest = augmentation.rotation
    found = _rotations(draws.uniform(Decision.ROTATION, -largest, largest))
    for operation in operations:
        found = found @ _matrices_of(operation)
    return found


def warped(images: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Return the pixels at these places, bilinearly, with reflected edges.

    Args:
        images: [batch, channels, height, width].
        matrices: from places in the result to places in the images, [batch, 3, 3].
        size: the side of the result, in pixels.

    Returns:
        [batch, channels, size, size], float32, 0 to 255.
    """
    shape = [len(images), images.shape[1], size, size]
    grid = functional.affine_grid(matrices[:, :2], shape, align_corners=False)
    return functional.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _matrices_of(operation: Operation) -> Tensor:
    strengths = operation.strengths
    found = _identities(strengths)
    entries = {
        Kind.SHEAR_X: (0, 1, 1.0),
        Kind.SHEAR_Y: (1, 0, 1.0),
        # Places are in halves of a side.
        Kind.TRANSLATE_X: (0, 2, 2.0),
        Kind.TRANSLATE_Y: (1, 2, 2.0),
    }
    for kind, (row, column, factor) in entries.items():
        chosen = operation.of(kind)
        found[chosen, row, column] = factor * strengths[chosen]
    turned = operation.of(Kind.ROTATE)
    found[turned] = _rotations(strengths[turned])
    return found


def _rotations(degrees: Tensor) -> Tensor:
    found = _identities(degrees)
    angles = degrees.deg2rad()
    found[:, 0, 0] = found[:, 1, 1] = angles.cos()
    found[:, 0, 1], found[:, 1, 0] = -angles.sin(), angles.sin()
    return found


def _identities(values: Tensor) -> Tensor:
    return torch.eye(3, device=values.device).repeat(len(values), 1, 1)
