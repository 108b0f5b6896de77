"""Static int8 with ONNX Runtime's quantizer, for several methods."""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    calibrate,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from spaces.processor import multiplies_int8_exactly
from spaces.quantization.ptq.ranges import least_error_ranges

# Recipes store the keys.
CALIBRATIONS = {
    "min_max": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
    # The quantizer needs some method, but its ranges are then replaced.
    "mse": CalibrationMethod.MinMax,
}
# The quantizer keeps the histograms of all activations of a chunk. Many images would use up memory.
_HISTOGRAM_IMAGES = 128
_CHUNK_IMAGES = 16


def largest_int8_weight() -> int:
    """Return the largest magnitude of quantized weights.

    A processor without VNNI adds pairs of products in 16 bits, and the sums saturate. On such a
    processor, weights are limited to 7 bits.
    """
    return 127 if multiplies_int8_exactly() else 64


@contextmanager
def prepared(source: Path) -> Iterator[Path]:
    """Yield a copy of the ONNX file `source`, with inferred shapes and folded constants."""
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = Path(folder) / "prepared.onnx"
        quant_pre_process(source, path, skip_symbolic_shape=True)
        yield path


def quantize_int8(
    source: Path,
    destination: Path,
    *,
    batches: Iterable[np.ndarray],
    calibration: str = "min_max",
    floats: Sequence[str] = (),
) -> None:
    """Quantize weights and activations of the prepared file `source` to 8 bits.

    Weights are signed, with a scale per channel. Activations are unsigned. If a network has
    attention, the function quantizes only layers with constant weights. In a test with a small
    vision transformer, this changed the logits by 0.02 of their spread. With the products and sums
    of attention in 8 bits too, the change was 0.14 of the spread, and the network was slower.

    Args:
        source: a file from `prepared`.
        destination: path of the quantized file.
        batches: normalised images, [batch, channels, height, width], float32.
        calibration: rule for the ranges of activations, one of `CALIBRATIONS`.
        floats: names of the nodes that stay in float32.
    """
    model = onnx.load(source)
    attention = _products_of_activations(model)
    operators = ["Conv", "Gemm", "MatMul"] if attention else None
    # In spite of its name, this option reads calibration data in chunks for any method.
    options: dict[str, object] = {} if calibration == "min_max" else {"CalibStridedMinMax": 1}
    chunks = batches if calibration == "min_max" else _chunks(batches)
    if calibration == "mse" and isinstance(chunks, list) and chunks:
        ranges = least_error_ranges(model, np.concatenate(chunks), operators=operators)
        options["TensorQuantOverrides"] = {
            name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
            for name, (low, high) in ranges.items()
        }
    quantize_static(
        source,
        destination,
        _CalibrationReader(source, chunks),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=not multiplies_int8_exactly(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CALIBRATIONS[calibration],
        op_types_to_quantize=operators,
        nodes_to_exclude=[*floats, *attention, *_arithmetic_of_shapes(model)],
        extra_options=options,
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress the quantizer's progress messages and warnings, inside the context."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # This replaces `print` only in the quantizer's module, because other threads may print.
            vars(calibrate)["print"] = lambda *words, **options: None
            yield
    finally:
        vars(calibrate).pop("print", None)
        root.setLevel(level)


def _products_of_activations(model: onnx.ModelProto) -> list[str]:
    """Return the names of the matrix products of two activations, as in attention."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not constants & set(node.input)
    ]


def _arithmetic_of_shapes(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that compute with shapes only; rounding would falsify these."""
    known = {tensor.name for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type in ("Shape", "Size") or known.issuperset(filter(None, node.input)):
            known.update(node.output)
            found.append(node.name)
    return found


def _chunks(batches: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return the first images in small batches."""
    found: list[np.ndarray] = []
    for batch in batches:
        remaining = _HISTOGRAM_IMAGES - sum(map(len, found))
        found.extend(
            batch[start : start + _CHUNK_IMAGES]
            for start in range(0, len(batch[:remaining]), _CHUNK_IMAGES)
        )
        if sum(map(len, found)) >= _HISTOGRAM_IMAGES:
            break
    return found


class _CalibrationReader(CalibrationDataReader):  # type: ignore[misc]
    """A reader of calibration batches. A list of batches also allows any range of them."""

    def __init__(self, model: Path, batches: Iterable[np.ndarray]) -> None:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._input = session.get_inputs()[0].name
        self._batches = batches
        self._rest: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._rest, None)
        return None if batch is None else {self._input: batch}

    def __len__(self) -> int:
        assert isinstance(self._batches, list)
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        assert isinstance(self._batches, list)
        self._rest = iter(self._batches[start_index:end_index])
