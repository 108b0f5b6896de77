"""Dynamic int8, by ONNX Runtime's quantizer."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from onnxruntime.quantization import QuantType, quantize_dynamic

from spaces.axes.quantization import Quantization
from spaces.processor import multiplies_int8_exactly
from spaces.quantization.ptq.int8 import prepared
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class Int8Dynamic(Quantization):
    """Weights in 8 bits; each activation is rounded to 8 bits over its own range as it comes.

    It needs no calibration, but finding ranges takes time at every layer: convolutions come out
    slower than in floats, matrix products about as fast, so that no speed is promised. The range is
    that of the whole batch, so that an image's logits depend a little on those it comes with.

    Weights have one scale a tensor, since ONNX Runtime's ConvInteger takes no more. A processor
    without VNNI adds pairs of unsigned-by-signed products in 16 bits, which saturate: there the
    weights are unsigned as well, whose products are added in 32.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
    """

    name: ClassVar[str] = "int8_dynamic"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    least_bits: ClassVar[float] = 8.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # ranges are found as images come
        with prepared(source) as path:
            quantize_dynamic(
                path,
                destination,
                per_channel=False,
                weight_type=QuantType.QInt8 if multiplies_int8_exactly() else QuantType.QUInt8,
            )
