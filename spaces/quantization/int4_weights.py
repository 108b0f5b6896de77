"""4-bit weights. Banner et al. 2019, arXiv:1810.05723."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, four_bit_codes


@dataclass(frozen=True)
class Int4Weights(TunedCodes):
    """4-bit weights in the file; the runtime decodes them to float32 when it loads the file.

    Each output channel has a scale. The method tries 21 scales and selects the scale with the least
    error. `tuning` is the number of epochs of quantization-aware training, as a share of the
    training's epochs.

    Source: Banner et al. 2019, arXiv:1810.05723 (clipping before 4-bit quantization).
    """

    name: ClassVar[str] = "int4_weights"
    least_bits: ClassVar[float] = 4.0
    tuning: float = param(0.0, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return four_bit_codes(weights)
