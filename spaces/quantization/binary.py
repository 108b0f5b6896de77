"""Binary weights. Rastegari et al. 2016, arXiv:1603.05279."""

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
from spaces.rounding.codes import binary_codes
from spaces.rounding.training import rounded_weights
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class Binary(Quantization):
    """Weights are -1 or 1 times their channel's scale, eight to a byte in the file.

    The first and the last layer stay floats, as in the paper, and so do depthwise convolutions,
    which have too few weights a channel. Rounding a trained student so coarsely ruins it: `tuning`
    trains it on under the rounding, for that share of its epochs.

    Source: Rastegari et al. 2016 (binary-weight-networks), arXiv:1603.05279.
    """

    name: ClassVar[str] = "binary"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    keeps_zeros: ClassVar[bool] = False
    tuning: float = param(0.5, FloatRange(0.0, 1.0))

    @property
    def tuning_share(self) -> float:
        return self.tuning

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        return rounded_weights(
            network,
            example,
            lambda weights: binary_codes(weights).values(),
            ends=False,
            worth=worth_coding,
        )

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # weights alone are rounded
        code_weights(source, destination, binary_codes, ends=False)
