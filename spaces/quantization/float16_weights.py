"""float16 weights. Micikevicius et al. 2018, arXiv:1710.03740."""

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

# For fewer numbers, the node that decodes them takes more bytes than the encoding saves.
_MIN_NUMBERS = 256


@dataclass(frozen=True)
class Float16Weights(Quantization):
    """float16 weights in the file; the runtime decodes them to float32 when it loads the file.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    name: ClassVar[str] = "float16_weights"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    least_bits: ClassVar[float] = 16.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # float16 needs no calibration
        model = onnx.load(source)
        found = {
            tensor.name: halved(numpy_helper.to_array(tensor))
            for tensor in model.graph.initializer
            if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _MIN_NUMBERS
        }
        onnx.save(pack(model, found), destination)
