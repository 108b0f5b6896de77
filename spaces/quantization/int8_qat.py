"""Quantization-aware training. Jacob et al. 2018, arXiv:1712.05877."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from spaces.axes.quantization import Quantization
from spaces.method import FloatRange, param
from spaces.quantization.ptq.int8 import largest_int8_weight, prepared, quantize_int8
from spaces.quantization.qat import rounded_to_int8, rounded_weights
from spaces.shrinks import Hardware, Shrinks


@dataclass(frozen=True)
class Int8Qat(Quantization):
    """Static int8 of a student that is trained on under the rounding, by the recipe's own loss.

    In that training each convolution's and linear layer's weights are rounded per channel to the
    integers that will be shipped, and its inputs to 256 levels over a running range. The file is
    then that of `int8_static`, its ranges calibrated (min-max) on the student as it came out.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3. Normalisations are folded after the
    training, not in it: per-channel rounding commutes with their scales.
    """

    name: ClassVar[str] = "int8_qat"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.INT8_CPU,))
    least_bits: ClassVar[float] = 8.0
    tuning: float = param(0.3, FloatRange(0.05, 1.0))

    @property
    def tuning_share(self) -> float:
        return self.tuning

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        rounder = partial(rounded_to_int8, largest=largest_int8_weight())
        return rounded_weights(network, example, rounder, activations=True)

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        with prepared(source) as path:
            quantize_int8(path, destination, batches=calibration)
