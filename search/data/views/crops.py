"""The crops of images that a view shows: of their pixels, or of their files."""

import torch
from torch import Tensor

from search.data.views.augmentation import Augmentation
from search.data.views.crop import Crop
from search.data.views.draws import Decision, Draws
from search.data.views.view import View


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
        for purpose in (Decision.DOWN, Decision.RIGHT)
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
        for purpose in (Decision.RIGHT, Decision.DOWN)
    )
    matrices = torch.zeros(len(areas), 3, 3, device=areas.device)
    matrices[:, 0, 0] = torch.where(drawn_flips(draws, augmentation), -across, across)
    matrices[:, 1, 1] = along
    # The centre: the free space on the left, half the crop, and the shift.
    matrices[:, 0, 2] = 2 * ((1 - across) * lefts + across / 2 + right * across) - 1
    matrices[:, 1, 2] = 2 * ((1 - along) * tops + along / 2 + down * along) - 1
    matrices[:, 2, 2] = 1
    return matrices


def drawn_shift(draws: Draws, purpose: Decision, size: int, shift: float) -> Tensor:
    """Draw shifts of whole pixels, [batch], int64; the largest is `shift` × `size`, rounded."""
    furthest = min(int(shift * size + 0.5), size - 1)
    return draws.choices(purpose, 2 * furthest + 1) - furthest


def drawn_flips(draws: Draws, augmentation: Augmentation) -> Tensor:
    """Draw whether each image is mirrored, [batch]."""
    flips = draws.coins(Decision.FLIP)
    return flips if augmentation.flip else torch.zeros_like(flips)


def _drawn_crops(draws: Draws, augmentation: Augmentation) -> tuple[Tensor, ...]:
    """Draw area, ratio, top and left of each crop, as in Szegedy et al. 2015, arXiv:1409.4842."""
    (narrow, wide) = (torch.tensor(value).log().item() for value in augmentation.ratio)
    return (
        draws.uniform(Decision.AREA, *augmentation.scale),
        draws.uniform(Decision.RATIO, narrow, wide).exp(),
        draws.uniform(Decision.TOP),
        draws.uniform(Decision.LEFT),
    )
