"""The crop of an image that a view shows: of its pixels, or of its file."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from search.data.views.augmentation import Augmentation
from search.data.views.draws import Draws, Purpose
from search.data.views.view import View

# Left, top, width and height, in pixels.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """The crop of one image, whatever the image's size.

    Attributes:
        area: the area as a share of the image, above 0 to 1; None: the largest centred square.
        ratio: the ratio of width to height, above 0.
        top: the place between the highest (0) and the lowest (1) possible.
        left: the place between the leftmost (0) and the rightmost (1) possible.
        down: how far the crop is moved down after that, as a share of its height, -1 to 1.
        right: how far it is moved to the right, as a share of its width.
        flip: whether the crop is mirrored.
    """

    area: float | None
    ratio: float
    top: float
    left: float
    down: float
    right: float
    flip: bool

    def box(self, width: int, height: int) -> Box:
        """Return the crop of an image of this size, in pixels; a moved crop may reach beyond it.

        Whole pixels, since a crop at half a pixel would blur the image.
        """
        if self.area is None:
            across = along = min(width, height)
            left, top = (width - across) // 2, (height - along) // 2
        else:
            area = self.area * width * height
            across = min(width, max(1, round(sqrt(area * self.ratio))))
            along = min(height, max(1, round(sqrt(area / self.ratio))))
            left, top = round((width - across) * self.left), round((height - along) * self.top)
        return left + round(self.right * across), top + round(self.down * along), across, along


def crops_of(indices: Tensor, view: View, *, size: int) -> list[Crop]:
    """Return each image's crop of a view, for images that are decoded from files.

    Args:
        indices: each image's index in its part, [images], int64, 0 to 2³²-1.
        view: the view.
        size: the side of the students' images, in pixels; shifts are whole pixels of these.
    """
    augmentation = view.augmentation
    draws = Draws.of(indices.cpu(), number=view.number, seed=view.seed)
    areas, ratios, tops, lefts = _drawn_crops(draws, augmentation)
    moves = [
        drawn_shift(draws, purpose, size, augmentation.shift) / size
        for purpose in (Purpose.DOWN, Purpose.RIGHT)
    ]
    columns = [values.tolist() for values in (areas, ratios, tops, lefts, *moves)]
    flips = drawn_flips(draws, augmentation).tolist()
    return [
        Crop(area if augmentation.crops else None, ratio, top, left, down, right, flip)
        for area, ratio, top, left, down, right, flip in zip(*columns, flips, strict=True)
    ]


def crop_matrices(draws: Draws, augmentation: Augmentation, *, size: int) -> Tensor:
    """Return the maps from places in the view to places in square images, [batch, 3, 3].

    Places are right and down from the centre, in halves of a side: the edges are at -1 and 1.

    Args:
        draws: the random numbers of the images.
        augmentation: what the view changes.
        size: the side of the images, in pixels.
    """
    areas, ratios, tops, lefts = _drawn_crops(draws, augmentation)
    across, along = (areas * ratios).sqrt().clamp_max(1), (areas / ratios).sqrt().clamp_max(1)
    right, down = (
        drawn_shift(draws, purpose, size, augmentation.shift) / size
        for purpose in (Purpose.RIGHT, Purpose.DOWN)
    )
    matrices = torch.zeros(len(areas), 3, 3, device=areas.device)
    matrices[:, 0, 0] = torch.where(drawn_flips(draws, augmentation), -across, across)
    matrices[:, 1, 1] = along
    # The centre: the free space on the left, half the crop, and the shift.
    matrices[:, 0, 2] = 2 * ((1 - across) * lefts + across / 2 + right * across) - 1
    matrices[:, 1, 2] = 2 * ((1 - along) * tops + along / 2 + down * along) - 1
    matrices[:, 2, 2] = 1
    return matrices


def drawn_shift(draws: Draws, purpose: Purpose, size: int, shift: float) -> Tensor:
    """Draw shifts of whole pixels, [batch], int64; the largest is `shift` × `size`, rounded."""
    furthest = min(int(shift * size + 0.5), size - 1)
    return draws.choices(purpose, 2 * furthest + 1) - furthest


def drawn_flips(draws: Draws, augmentation: Augmentation) -> Tensor:
    """Draw whether each image is mirrored, [batch]."""
    flips = draws.coins(Purpose.FLIP)
    return flips if augmentation.flip else torch.zeros_like(flips)


def _drawn_crops(draws: Draws, augmentation: Augmentation) -> tuple[Tensor, ...]:
    """Draw area, ratio, top and left of each crop, as in Szegedy et al. 2015, arXiv:1409.4842."""
    (narrow, wide) = (torch.tensor(value).log().item() for value in augmentation.ratio)
    return (
        draws.uniform(Purpose.AREA, *augmentation.scale),
        draws.uniform(Purpose.RATIO, narrow, wide).exp(),
        draws.uniform(Purpose.TOP),
        draws.uniform(Purpose.LEFT),
    )
