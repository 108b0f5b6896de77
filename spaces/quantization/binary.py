"""Binary weights. Rastegari et al. 2016, arXiv:1603.05279."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, binary_codes


@dataclass(frozen=True)
class Binary(TunedCodes):
    """Binary weights: -1 or 1 times a scale per channel, 1 bit per weight in the file.

    The first and the last layer stay in float32, as in the paper. Depthwise convolutions stay in
    float32 too, because they have too few weights per channel. Without further training, this
    quantization destroys the accuracy of a trained student. `tuning` is the number of epochs of
    quantization-aware training, as a share of the training's epochs.

    Source: Rastegari et al. 2016 (binary-weight-networks), arXiv:1603.05279.
    """

    name: ClassVar[str] = "binary"
    codes_ends: ClassVar[bool] = False
    tuning: float = param(0.5, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return binary_codes(weights)
