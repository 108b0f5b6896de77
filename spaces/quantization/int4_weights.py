"""Weights in 4 bits. Banner et al. 2019, arXiv:1810.05723."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import FloatRange, param
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, four_bit_codes


@dataclass(frozen=True)
class Int4Weights(TunedCodes):
    """Weights take 4 bits in the file and are floats again once it is loaded.

    Each output channel has a scale, of 21 the one that errs least. `tuning` trains the student on
    under this rounding, for that share of its epochs.

    Source: Banner et al. 2019, arXiv:1810.05723 (clipping before rounding to 4 bits).
    """

    name: ClassVar[str] = "int4_weights"
    least_bits: ClassVar[float] = 4.0
    tuning: float = param(0.0, FloatRange(0.0, 1.0))

    def codes(self, weights: Tensor) -> Codes:
        return four_bit_codes(weights)
