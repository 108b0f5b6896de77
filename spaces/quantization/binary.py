"""Binary weights. Rastegari et al. 2016, arXiv:1603.05279."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, binary_codes


@dataclass(frozen=True)
class Binary(TunedCodes):
    """Weights are -1 or 1 times their channel's scale, eight to a byte in the file.

    The first and the last layer stay floats, as in the paper, and so do depthwise convolutions,
    which have too few weights a channel. Rounding a trained student so coarsely ruins it: `tuning`
    trains it on under the rounding, for that share of its epochs.

    Source: Rastegari et al. 2016 (binary-weight-networks), arXiv:1603.05279.
    """

    name: ClassVar[str] = "binary"
    codes_ends: ClassVar[bool] = False
    tuning: float = param(0.5, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return binary_codes(weights)
