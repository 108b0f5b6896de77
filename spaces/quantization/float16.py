"""Half precision. Micikevicius et al. 2018, arXiv:1710.03740; by ONNX Runtime's converter."""

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
    """Weights and arithmetic in 16-bit floats; inputs and outputs stay 32-bit.

    It is for GPUs. ONNX Runtime has next to no float16 kernels for CPUs: there it converts to and
    fro at every layer and takes longer than floats, so that `float16_weights` is the better choice.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    name: ClassVar[str] = "float16"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.GPU,))
    least_bits: ClassVar[float] = 16.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # floats need none
        with quietly():  # it warns of every number that it rounds to the range of halves
            converted = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        onnx.save(converted, destination)
