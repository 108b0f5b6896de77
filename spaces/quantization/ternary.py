"""Ternary weights. Li et al. 2016, arXiv:1605.04711."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, ternary_codes


@dataclass(frozen=True)
class Ternary(TunedCodes):
    """Weights are -1, 0 or 1 times their channel's scale, five to a byte in the file.

    The first and the last layer stay floats, as in the paper, and so do depthwise convolutions,
    which have too few weights a channel. Rounding a trained student so coarsely ruins it: `tuning`
    trains it on under the rounding, for that share of its epochs.

    Source: Li et al. 2016 (ternary weight networks), arXiv:1605.04711.
    """

    name: ClassVar[str] = "ternary"
    codes_ends: ClassVar[bool] = False
    tuning: float = param(0.5, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return ternary_codes(weights)
