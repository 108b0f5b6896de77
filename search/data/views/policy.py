"""The operations of TrivialAugment and RandAugment, drawn for each image.

TrivialAugment: Müller and Hutter 2021, arXiv:2103.10158, with its wide space. RandAugment: Cubuk et
al. 2020, arXiv:1909.13719. The operations and their strengths are torchvision's. Translations are
shares of the image's side, so that a view is the same at every resolution: the 32 pixels of
TrivialAugment are taken to be of 224.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from search.data.views.augmentation import Augmentation
from search.data.views.draws import Decision, Draws

_STRENGTHS = 31  # from 0 to 30


class Kind(IntEnum):
    """The kinds of operations. A number is for ever: it decides which views are cached."""

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    SATURATION = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    SOLARIZE = 11
    AUTOCONTRAST = 12
    EQUALIZE = 13


# The largest change by an operation: of both signs up to sharpness; bits; a threshold of 255.
_TRIVIAL = {
    Kind.SHEAR_X: 0.99,
    Kind.SHEAR_Y: 0.99,
    Kind.TRANSLATE_X: 32 / 224,
    Kind.TRANSLATE_Y: 32 / 224,
    Kind.ROTATE: 135.0,
    Kind.BRIGHTNESS: 0.99,
    Kind.SATURATION: 0.99,
    Kind.CONTRAST: 0.99,
    Kind.SHARPNESS: 0.99,
    Kind.POSTERIZE: 6.0,
    Kind.SOLARIZE: 255.0,
}
_RAND = {
    Kind.SHEAR_X: 0.3,
    Kind.SHEAR_Y: 0.3,
    Kind.TRANSLATE_X: 150 / 331,
    Kind.TRANSLATE_Y: 150 / 331,
    Kind.ROTATE: 30.0,
    Kind.BRIGHTNESS: 0.9,
    Kind.SATURATION: 0.9,
    Kind.CONTRAST: 0.9,
    Kind.SHARPNESS: 0.9,
    Kind.POSTERIZE: 4.0,
    Kind.SOLARIZE: 255.0,
}
_SIGNED = [kind for kind in Kind if Kind.SHEAR_X <= kind <= Kind.SHARPNESS]


@dataclass(frozen=True)
class Operation:
    """One operation for each image.

    Attributes:
        kinds: [batch], int64, values of `Kind`.
        strengths: [batch], float32: the shear, the share of the side, degrees, the relative change
            of a colour, the number of bits that are lost, or 255 minus the threshold.
    """

    kinds: Tensor
    strengths: Tensor

    def of(self, kind: Kind) -> Tensor:
        """Return which images have this kind, [images], int64."""
        return (self.kinds == kind).nonzero()[:, 0]


def drawn_operations(draws: Draws, augmentation: Augmentation) -> Sequence[Operation]:
    """Draw the operations of a policy, in their order."""
    if augmentation.policy == "none":
        return ()
    is_trivial = augmentation.policy == "trivial"
    return [
        _drawn(
            draws, Decision.OPERATION + 3 * place, None if is_trivial else augmentation.magnitude
        )
        for place in range(1 if is_trivial else augmentation.operations)
    ]


def _drawn(draws: Draws, purpose: int, magnitude: int | None) -> Operation:
    """Draw an operation; its magnitude too, from 0 to 30, if that is None."""
    kinds = draws.choices(purpose, len(Kind))
    largest = torch.zeros(len(Kind), device=kinds.device)
    for kind, value in (_TRIVIAL if magnitude is None else _RAND).items():
        largest[kind] = value
    magnitudes = (
        draws.choices(purpose + 1, _STRENGTHS)
        if magnitude is None
        else torch.full_like(kinds, magnitude)
    )
    strengths = largest[kinds] * magnitudes / (_STRENGTHS - 1)
    is_signed = torch.isin(kinds, torch.tensor(_SIGNED, device=kinds.device))
    negative = is_signed & draws.coins(purpose + 2)
    return Operation(kinds, torch.where(negative, -strengths, strengths))
