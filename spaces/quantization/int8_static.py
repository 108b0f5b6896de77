"""Static int8. Jacob et al. 2018, arXiv:1712.05877; by ONNX Runtime's quantizer."""

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
    """Weights and activations in 8 bits, ranges calibrated on training images.

    Weights are signed, scaled per channel; activations are unsigned. A processor without VNNI adds
    pairs of products in 16 bits, which saturate: there the weights keep to 7 bits.

    An activation's range is from its smallest to its largest (`min_max`), without its outermost
    0.001% (`percentile`), or where the rounded distribution diverges least from the real one
    (`entropy`); the last two serve activations with a few very large values.

    Source: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602, section 5.1 (the
    calibrations).
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
