"""The pixels of a view, computed for a batch on the device of its images.

The teacher's logits for a view are computed once, and every student is trained on exactly the same
images.
"""

import torch
from torch import Tensor
from torch.nn import functional

from search.data.views.augmentation import Augmentation
from search.data.views.color import jittered, recolored
from search.data.views.crops import crop_matrices, drawn_flips, drawn_shift
from search.data.views.draws import Decision, Draws
from search.data.views.erasing import with_erased_rectangle
from search.data.views.geometry import turn_matrices, warped
from search.data.views.policy import drawn_operations
from search.data.views.view import View

# Bump it when the content of a view or its resizing changes.
VERSION = 2


def view_of(
    images: Tensor,
    indices: Tensor,
    view: View,
    *,
    size: int | None = None,
    students: int | None = None,
) -> Tensor:
    """Return a view of square images.

    Args:
        images: [batch, channels, side, side], usually uint8; if views only shift and mirror, of any
            type.
        indices: each image's index in its part, [batch], int64, 0 to 2³²-1.
        view: the view to compute.
        size: the side of the view, in pixels; None is the side of the images.
        students: the side of the students' images, in pixels, of which shifts are whole ones; None
            is the side of the images.

    Returns:
        [batch, channels, size, size], on the device and of the type of `images`.
    """
    side, augmentation = images.shape[-1], view.augmentation
    students = students or side
    draws = Draws.of(indices.to(images.device), number=view.number, seed=view.seed)
    operations = drawn_operations(draws, augmentation)
    turns = turn_matrices(draws, augmentation, operations)
    if turns is None and not augmentation.crops and students == side:
        moved = _shifted(images, draws, augmentation)
    else:
        matrices = crop_matrices(draws, augmentation, size=students)
        matrices = matrices if turns is None else matrices @ turns
        # A smaller view is resized at the end, since `warped` does not antialias.
        moved = warped(images, matrices, max(side, size or side))
    found = _recolored(moved, draws, augmentation)
    return resize_batch(_of_type(found, images.dtype), size or side)


def finished(crops: Tensor, indices: Tensor, view: View) -> Tensor:
    """Return a view of images that are cropped and mirrored already, as `crops_of` says.

    Args:
        crops: [batch, channels, size, size], uint8.
        indices: as for `view_of`.
        view: the view.
    """
    augmentation = view.augmentation
    if not augmentation.changes_crops:
        return crops
    draws = Draws.of(indices.to(crops.device), number=view.number, seed=view.seed)
    turns = turn_matrices(draws, augmentation, drawn_operations(draws, augmentation))
    moved = crops if turns is None else warped(crops, turns, crops.shape[-1])
    return _of_type(_recolored(moved, draws, augmentation), crops.dtype)


def resize_batch(images: Tensor, size: int) -> Tensor:
    """Resize images bilinearly, with antialiasing and rounding, as Pillow does.

    Args:
        images: [batch, channels, side, side], uint8.
        size: the new side, in pixels.
    """
    if images.shape[-1] == size or not len(images):
        return images
    resized = functional.interpolate(
        images.float(), (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return _of_type(resized, images.dtype)


def _recolored(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    if augmentation.color:
        images = jittered(images.float(), draws, augmentation)
    if operations := drawn_operations(draws, augmentation):
        images = recolored(images.float(), operations)
    if augmentation.erasing:
        images = with_erased_rectangle(images.float(), draws, probability=augmentation.erasing)
    return images


def _of_type(images: Tensor, wanted: torch.dtype) -> Tensor:
    return images if images.dtype == wanted else images.round().clamp(0, 255).to(wanted)


def _shifted(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """Return the images shifted by whole pixels with reflected edges, and perhaps mirrored."""
    height, width = images.shape[2:]
    rows = _window(drawn_shift(draws, Decision.DOWN, height, augmentation.shift), height)
    columns = _window(drawn_shift(draws, Decision.RIGHT, width, augmentation.shift), width)
    flips = drawn_flips(draws, augmentation)
    return _gathered(images, rows, torch.where(flips[:, None], columns.flip(1), columns))


def _window(offsets: Tensor, side: int) -> Tensor:
    """Return the source pixel of each place along a side, [batch, side]."""
    places = torch.arange(side, device=offsets.device) + offsets[:, None]
    places = places.abs()  # reflection at the first edge
    return (side - 1) - ((side - 1) - places).abs()  # and at the last edge


def _gathered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gather each image's pixels at these rows, [batch, height], and columns, [batch, width].

    Whole rows are copied first, which is eight times faster than indexing rows and columns at once.
    """
    batch, channels, height, width = images.shape
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1)
    lines = (planes * height + rows[:, None, :]).reshape(-1)  # [batch * channels * height]
    moved = images.reshape(-1, width).index_select(0, lines).view(images.shape)
    return moved.gather(3, columns.view(batch, 1, 1, width).expand(images.shape))
