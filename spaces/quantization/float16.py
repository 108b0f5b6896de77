"""float16 weights and arithmetic with ONNX Runtime's converter.

Micikevicius et al. 2018, arXiv:1710.03740.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from spaces.axes.quantization import Quantization
from spaces.quantization.ptq.int8 import quietly
from spaces.shrinks import Hardware, Shrinks


@dataclass(frozen=True)
class Float16(Quantization):
    """float16 weights and arithmetic; inputs and outputs stay in float32.

    The format is for GPUs. ONNX Runtime has almost no float16 kernels for CPUs. On a CPU it
    converts between float16 and float32 at each layer, so it is slower than with float32. For CPUs,
    use `float16_weights`.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    name: ClassVar[str] = "float16"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.GPU,))
    least_bits: ClassVar[float] = 16.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # float16 needs no calibration
        with quietly():  # the converter warns of each number that it clips to the range of float16
            converted = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        onnx.save(converted, destination)
