"""Ternary weights. Li et al. 2016, arXiv:1605.04711."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, ternary_codes


@dataclass(frozen=True)
class Ternary(TunedCodes):
    """Ternary weights: -1, 0 or 1 times a scale per channel, 1.6 bits per weight in the file.

    The first and the last layer stay in float32, as in the paper. Depthwise convolutions stay in
    float32 too, because they have too few weights per channel. Without further training, this
    quantization destroys the accuracy of a trained student. `tuning` is the number of epochs of
    quantization-aware training, as a share of the training's epochs.

    Source: Li et al. 2016 (ternary weight networks), arXiv:1605.04711.
    """

    name: ClassVar[str] = "ternary"
    codes_ends: ClassVar[bool] = False
    tuning: float = param(0.5, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return ternary_codes(weights)
