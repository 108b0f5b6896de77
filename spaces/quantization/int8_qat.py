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
    """Static int8 after quantization-aware training with the recipe's own loss.

    In the training, fake quantization rounds the weights of convolutions and linear layers per
    channel to the integers of the model file. It rounds their inputs to 256 levels over a running
    range. Afterwards the method calibrates ranges (min-max) and converts as `int8_static` does.
    `tuning` is the number of epochs of this training, as a share of the training's epochs.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3. This code folds normalisations after the
    training, because per-channel rounding commutes with their scales.
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
