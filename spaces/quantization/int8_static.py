"""Static int8 with ONNX Runtime's quantizer. Jacob et al. 2018, arXiv:1712.05877."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from spaces.axes.quantization import Quantization
from spaces.method import OneOf, param
from spaces.quantization.ptq.int8 import CALIBRATIONS, prepared, quantize_int8
from spaces.shrinks import Hardware, Shrinks


@dataclass(frozen=True)
class Int8Static(Quantization):
    """Static int8: 8-bit weights and activations, with ranges calibrated on training images.

    Weights are signed, with a scale per channel. Activations are unsigned. A processor without VNNI
    adds pairs of products in 16 bits, and the sums saturate. On such a processor the weights are
    limited to 7 bits.

    `calibration` selects the range of an activation: from the smallest to the largest value
    (`min_max`), the same without the outermost 0.001% of the values (`percentile`), or the range
    with the least divergence between the quantized and the original distribution (`entropy`).
    `percentile` and `entropy` are for activations with a few very large values.

    Source: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602, section 5.1
    (calibration).
    """

    name: ClassVar[str] = "int8_static"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.INT8_CPU,))
    least_bits: ClassVar[float] = 8.0
    calibration: str = param("min_max", OneOf(tuple(CALIBRATIONS)))

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        with prepared(source) as path:
            quantize_int8(path, destination, batches=calibration, calibration=self.calibration)
