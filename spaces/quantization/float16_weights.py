"""Half-precision weights. Micikevicius et al. 2018, arXiv:1710.03740."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from spaces.axes.quantization import Quantization
from spaces.quantization.weight_compression.encodings import halved
from spaces.quantization.weight_compression.packed import pack
from spaces.shrinks import SIZE_ONLY, Shrinks

# For fewer numbers, the call that widens them takes more bytes than it saves.
_NUMBERS_AT_LEAST = 256


@dataclass(frozen=True)
class Float16Weights(Quantization):
    """Weights take 16 bits in the file and are 32-bit floats again once it is loaded.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    name: ClassVar[str] = "float16_weights"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    least_bits: ClassVar[float] = 16.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # floats need none
        model = onnx.load(source)
        found = {
            tensor.name: halved(numpy_helper.to_array(tensor))
            for tensor in model.graph.initializer
            if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _NUMBERS_AT_LEAST
        }
        onnx.save(pack(model, found), destination)
