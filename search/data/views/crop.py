"""The crop of one image. Like the processes that decode, this module needs no torch."""

from dataclasses import dataclass
from math import ceil, sqrt

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

    def least_side(self, size: int) -> int:
        """Return the shorter side, in pixels, of an image whose crop has sides of at least `size`.

        An image that is longer has longer crops too.
        """
        if self.area is None:
            return size
        return ceil(size / sqrt(self.area * min(self.ratio, 1 / self.ratio)))

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
