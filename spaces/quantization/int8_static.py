"""Static int8. Jacob et al. 2018, arXiv:1712.05877; by ONNX Runtime's quantizer."""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from spaces.axes import Quantization
from spaces.processor import multiplies_int8_exactly
from spaces.shrinks import Runtime, Shrinks


@dataclass(frozen=True)
class Int8Static(Quantization):
    """Weights and activations in 8 bits, ranges calibrated on training images (min-max).

    Weights are signed, scaled per channel; activations are unsigned. A processor without VNNI adds
    pairs of products in 16 bits, which saturate: there the weights keep to 7 bits.

    Source: Jacob et al. 2018, arXiv:1712.05877.
    """

    name: ClassVar[str] = "int8_static"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Runtime.INT8_CPU,))

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        with tempfile.TemporaryDirectory() as folder, _quietly():
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                destination,
                _Reader(prepared, calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=not multiplies_int8_exactly(),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps the quantizer's advice to itself: it has been taken."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, model: Path, batches: Iterable[np.ndarray]) -> None:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._input = session.get_inputs()[0].name
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._input: batch}
