"""Weights in 4 bits. Banner et al. 2019, arXiv:1810.05723."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from spaces.axes.quantization import Quantization
from spaces.choice import FloatRange, param
from spaces.packing.weights import code_weights, worth_coding
from spaces.rounding.codes import four_bit_codes
from spaces.rounding.training import rounded_weights
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class Int4Weights(Quantization):
    """Weights take 4 bits in the file and are floats again once it is loaded.

    Each output channel has a scale, of 21 the one that errs least. `tuning` trains the student on
    under this rounding, for that share of its epochs.

    Source: Banner et al. 2019, arXiv:1810.05723 (clipping before rounding to 4 bits).
    """

    name: ClassVar[str] = "int4_weights"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    least_bits: ClassVar[float] = 4.0
    keeps_zeros: ClassVar[bool] = False
    tuning: float = param(0.0, FloatRange(0.0, 1.0))

    @property
    def tuning_share(self) -> float:
        return self.tuning

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        return rounded_weights(
            network, example, lambda weights: four_bit_codes(weights).values(), worth=worth_coding
        )

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # weights alone are rounded
        code_weights(source, destination, four_bit_codes, ends=True)
