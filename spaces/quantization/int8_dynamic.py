"""Dynamic int8 with ONNX Runtime's quantizer."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from onnxruntime.quantization import QuantType, quantize_dynamic

from spaces.axes.quantization import Quantization
from spaces.quantization.ptq.int8 import prepared
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class Int8Dynamic(Quantization):
    """Dynamic int8: 8-bit weights; the runtime quantizes activations over their current range.

    The method needs no calibration, but the runtime computes ranges at each layer. Convolutions are
    slower than in float32, and matrix products are about as fast, so the method is not meant to
    reduce the latency. The range covers the whole batch, so an image's logits depend slightly on
    the other images of its batch.

    Weights have one scale per tensor, because ONNX Runtime's ConvInteger supports only one scale.
    They are unsigned, because ConvInteger of ONNX Runtime 1.17 takes no signed weights. Products of
    unsigned numbers are also added in 32 bits by a processor without VNNI, which would add
    unsigned-by-signed products in 16 bits, and these sums saturate.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
    """

    name: ClassVar[str] = "int8_dynamic"
    version: ClassVar[int] = 2
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    least_bits: ClassVar[float] = 8.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # the runtime computes ranges during inference
        with prepared(source) as path:
            quantize_dynamic(
                path,
                destination,
                per_channel=False,
                weight_type=QuantType.QUInt8,
            )
