"""Views: reproducible augmented images.

A view depends only on its seed, its number and the image's index. It does not depend on the batch,
the order, the device, or the state of a random generator. So the teacher's logits for a view are
computed once, and every student is trained on exactly the same image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Bump it when the content of a view or its resizing changes.
VERSION = 1
_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


@dataclass(frozen=True)
class View:
    """One augmented version of every image.

    Attributes:
        number: the number of the version, from 0.
        seed: the study's seed.
        shift: the largest shift, as a fraction of the image's size, from 0 to below 1.
        flip: whether each image is mirrored with probability 1/2.
    """

    number: int
    seed: int
    shift: float
    flip: bool


@dataclass(frozen=True)
class Crop:
    """The crop of one image that a view shows, for images that are decoded from files.

    Attributes:
        height: the height as a fraction of the image's shorter side, above 0 to 1.
        width: the width, likewise.
        down: the distance from the image's centre down to the crop's centre, as a fraction of the
            image's height.
        right: the distance to the right, as a fraction of the image's width.
        flip: whether the crop is mirrored.
    """

    height: float
    width: float
    down: float
    right: float
    flip: bool


def view_of(images: Tensor, indices: Tensor, view: View) -> Tensor:
    """Return a view of each image: shifted with reflected edges, and perhaps mirrored.

    Args:
        images: [batch, channels, height, width], usually uint8, but of any type.
        indices: each image's index in its part, [batch], int64, 0 to 2³²-1.
        view: the view to compute.

    Returns:
        The same shape, type and device as `images`.
    """
    height, width = images.shape[2:]
    words = _words(indices.to(images.device), view)
    rows = _window(words[0], height, view.shift)  # [batch, height]
    columns = _window(words[1], width, view.shift)  # [batch, width]
    columns = torch.where(_flips(words[2], view)[:, None], columns.flip(1), columns)
    return _gathered(images, rows, columns)


def crops_of(indices: Tensor, view: View) -> list[Crop]:
    """Return each image's crop of a view, for images that are decoded from files.

    Each side of the crop is from 1-shift to 1 times the image's shorter side, and its centre moves
    by at most the shift. With a shift of 0, the crop is the largest centred square.

    Args:
        indices: each image's index in its part, [images], int64, 0 to 2³²-1.
        view: the view to compute.
    """
    words = _words(indices.cpu(), view)
    unit = words.double() / (_WORD + 1)  # [5, images], 0 to below 1
    sides = 1 - view.shift * unit[3:]
    moves = view.shift * (2 * unit[:2] - 1)
    flips = _flips(words[2], view).tolist()
    shares = torch.cat([sides, moves]).tolist()
    return [Crop(*crop) for crop in zip(*shares, flips, strict=True)]


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
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def _window(words: Tensor, side: int, shift: float) -> Tensor:
    """Return the source pixel of each place along a side, [batch, side]."""
    furthest = min(int(shift * side + 0.5), side - 1)
    offset = words * (2 * furthest + 1) // (_WORD + 1) - furthest  # [batch], in pixels
    place = torch.arange(side, device=words.device) + offset[:, None]
    place = place.abs()  # reflection at the first edge
    return (side - 1) - ((side - 1) - place).abs()  # and at the last edge


def _gathered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gather each image's pixels at these rows, [batch, height], and columns, [batch, width].

    Whole rows are copied first, which is eight times faster than indexing rows and columns at once.
    """
    batch, channels, height, width = images.shape
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1)
    lines = (planes * height + rows[:, None, :]).reshape(-1)  # [batch * channels * height]
    moved = images.reshape(-1, width).index_select(0, lines).view(images.shape)
    return moved.gather(3, columns.view(batch, 1, 1, width).expand(images.shape))


def _flips(words: Tensor, view: View) -> Tensor:
    return (words >> 31).bool() if view.flip else torch.zeros_like(words, dtype=torch.bool)


def _words(indices: Tensor, view: View) -> Tensor:
    """Return five random 32-bit words for each image, [5, batch], int64."""
    state = torch.full_like(indices, view.seed & _WORD)
    state = _mix(_mix(state + _GOLDEN) ^ (view.number & _WORD))
    state = _mix(state ^ indices)
    return torch.stack([_mix(state + (lane * _GOLDEN)) for lane in range(1, 6)])


def _mix(words: Tensor) -> Tensor:
    """Return a 32-bit hash of each word, as int64.

    Both multipliers are below 2³¹, so no product overflows, and the result is the same on every
    device. Source: Chris Wellons' hash-prospector, its best two-round hash with such multipliers,
    https://github.com/skeeto/hash-prospector.
    """
    words = words & _WORD
    words = ((words ^ (words >> 16)) * 0x2C1B3C6D) & _WORD
    words = ((words ^ (words >> 12)) * 0x297A2D39) & _WORD
    return words ^ (words >> 15)
