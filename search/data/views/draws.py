"""Random numbers that depend only on a view's seed and number, an image's index, and a purpose."""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


class Decision(IntEnum):
    """What a random number decides. A number is for ever: it decides which views are cached."""

    DOWN = 1
    RIGHT = 2
    FLIP = 3
    AREA = 4
    RATIO = 5
    TOP = 6
    LEFT = 7
    ROTATION = 8
    BRIGHTNESS = 9
    CONTRAST = 10
    SATURATION = 11
    ERASES = 12
    ERASED_AREA = 13
    ERASED_RATIO = 14
    ERASED_TOP = 15
    ERASED_LEFT = 16
    OPERATION = 32  # and the following numbers, three for each operation


@dataclass(frozen=True)
class Draws:
    """The random numbers of the images of a batch.

    Attributes:
        state: a 32-bit word for each image, [batch], int64.
    """

    state: Tensor

    @classmethod
    def of(cls, indices: Tensor, *, number: int, seed: int) -> "Draws":
        """Return the random numbers of these images in the view `number` of `seed`.

        Args:
            indices: each image's index in its part, [batch], int64, 0 to 2³²-1.
            number: the view's number.
            seed: the seed of all views.
        """
        state = torch.full_like(indices, seed & _WORD)
        state = _mix(_mix(state + _GOLDEN) ^ (number & _WORD))
        return cls(_mix(state ^ indices))

    def words(self, purpose: int) -> Tensor:
        """Return a random 32-bit word for each image, [batch], int64."""
        return _mix(self.state + purpose * _GOLDEN)

    def choices(self, purpose: int, number: int) -> Tensor:
        """Return a random integer from 0 to `number` - 1 for each image, [batch], int64."""
        return self.words(purpose) * number // (_WORD + 1)

    def uniform(self, purpose: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return a random number from `low` to below `high` for each image, [batch], float32."""
        # 24 bits: float32 would round more bits up to `high`.
        unit = (self.words(purpose) >> 8).float() / (1 << 24)
        return low + (high - low) * unit

    def coins(self, purpose: int) -> Tensor:
        """Return true or false with equal probability for each image, [batch]."""
        return (self.words(purpose) >> 31).bool()


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
