"""The erased rectangle of a view. Zhong et al. 2020, arXiv:1708.04896.

The teacher sees the erased image too. The parameter `erasing` of a student's training erases
without the teacher.
"""

import math

import torch
from torch import Tensor

from search.data.views.draws import Decision, Draws

# The area as a share of the image, and the ratio of height to width, as in timm.
_AREA = (0.02, 1 / 3)
_RATIO = (0.3, 1 / 0.3)


def with_erased_rectangle(images: Tensor, draws: Draws, *, probability: float) -> Tensor:
    """Fill a rectangle of each image with the image's mean colour, with this probability.

    Args:
        images: [batch, channels, height, width], float32.
        draws: the random numbers of the images.
        probability: 0 to 1.
    """
    height, width = images.shape[2:]
    areas = draws.uniform(Decision.ERASED_AREA, *_AREA)
    ratios = draws.uniform(Decision.ERASED_RATIO, *map(math.log, _RATIO)).exp()
    rows = _inside((areas * ratios).sqrt().clamp_max(1), draws.uniform(Decision.ERASED_TOP), height)
    columns = _inside(
        (areas / ratios).sqrt().clamp_max(1), draws.uniform(Decision.ERASED_LEFT), width
    )
    erases = draws.uniform(Decision.ERASES) < probability
    erased = rows[:, None, :, None] & columns[:, None, None, :] & erases[:, None, None, None]
    return torch.where(erased, images.mean(dim=(2, 3), keepdim=True), images)


def _inside(extents: Tensor, places: Tensor, side: int) -> Tensor:
    """Return which pixels of a side a span covers, [batch, side].

    Args:
        extents: the span's length as a share of the side, [batch].
        places: the place between the first (0) and the last (1) possible, [batch].
        side: the side, in pixels.
    """
    starts = (1 - extents) * places
    pixels = (torch.arange(side, device=extents.device) + 0.5) / side
    return (pixels >= starts[:, None]) & (pixels < (starts + extents)[:, None])
