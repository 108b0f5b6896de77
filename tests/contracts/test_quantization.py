"""What every quantization promises, on a network that has learned something."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from torch import nn

from search.data.dataset import Dataset
from search.files import file_digest
from search.measure import calibration_batches, normalized_batches
from search.runtime import Session, export_onnx
from spaces import catalogue
from spaces.axes import Quantization
from spaces.processor import multiplies_int8_exactly

METHODS = catalogue.methods("quantization")
SMALLER = [name for name in METHODS if name != "float32"]
INTEGER = [name for name in METHODS if name.startswith("int8")]


@pytest.fixture(scope="module")
def exported(
    schooled: nn.Module, stripes: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("exported") / "float.onnx"
    export_onnx(schooled, path, image_shape=(1, 32, 32))
    return path


@pytest.fixture(scope="module")
def converted(
    exported: Path, stripes: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same network in every format."""
    folder = tmp_path_factory.mktemp("converted")
    for name in METHODS:
        _convert(name, exported, folder / f"{name}.onnx", stripes)
    return {name: folder / f"{name}.onnx" for name in METHODS}


def _convert(name: str, source: Path, destination: Path, dataset: Dataset) -> None:
    method = METHODS[name]()
    assert isinstance(method, Quantization)
    method.convert(source, destination, calibration=calibration_batches(dataset, seed=0))


def _logits(path: Path, dataset: Dataset) -> np.ndarray:
    session = Session(path, threads=1)
    return np.concatenate(
        [session.predict(images) for images in normalized_batches(dataset.validation, dataset)]
    )


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_almost_always_those_of_the_floats(
    name: str, exported: Path, converted: dict[str, Path], stripes: Dataset
) -> None:
    floats, logits = _logits(exported, stripes), _logits(converted[name], stripes)
    assert logits.shape == floats.shape
    assert (logits.argmax(axis=1) == floats.argmax(axis=1)).mean() >= 0.95


@pytest.mark.parametrize("name", METHODS)
def test_logits_differ_from_the_floats_by_a_small_part_of_their_spread(
    name: str, exported: Path, converted: dict[str, Path], stripes: Dataset
) -> None:
    floats, logits = _logits(exported, stripes), _logits(converted[name], stripes)
    assert np.abs(logits - floats).mean() < 0.1 * floats.std()


@pytest.mark.parametrize("name", METHODS)
def test_one_image_and_many_are_taken(
    name: str, converted: dict[str, Path], stripes: Dataset
) -> None:
    session = Session(converted[name], threads=1)
    images = next(iter(normalized_batches(stripes.validation, stripes)))
    alone = np.concatenate([session.predict(image[None]) for image in images])
    assert np.allclose(alone, session.predict(images), atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_file_and_images_give_the_same_network(
    name: str, exported: Path, converted: dict[str, Path], stripes: Dataset, tmp_path: Path
) -> None:
    _convert(name, exported, tmp_path / "again.onnx", stripes)
    again = _logits(tmp_path / "again.onnx", stripes)
    assert np.array_equal(again, _logits(converted[name], stripes))


@pytest.mark.parametrize("name", METHODS)
def test_the_float_file_is_left_as_it_was(
    name: str, exported: Path, stripes: Dataset, tmp_path: Path
) -> None:
    before = file_digest(exported)
    _convert(name, exported, tmp_path / "converted.onnx", stripes)
    assert file_digest(exported) == before
    assert [path.name for path in tmp_path.iterdir()] == ["converted.onnx"]


@pytest.mark.parametrize("name", SMALLER)
def test_the_file_is_smaller_than_that_of_floats(
    name: str, exported: Path, converted: dict[str, Path]
) -> None:
    assert converted[name].stat().st_size < 0.6 * exported.stat().st_size


@pytest.mark.parametrize("name", INTEGER)
def test_weights_are_stored_as_bytes(name: str, converted: dict[str, Path]) -> None:
    stored = _stored_elements(converted[name])
    small = stored[TensorProto.INT8] + stored[TensorProto.UINT8]
    assert small > 0.9 * sum(stored.values())


@pytest.mark.parametrize("name", INTEGER)
def test_every_convolution_reads_bytes(name: str, converted: dict[str, Path]) -> None:
    graph = onnx.load(converted[name]).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    integer = [node for node in graph.node if node.op_type in ("QLinearConv", "ConvInteger")]
    assert convolutions or integer
    for node in convolutions:
        assert {makers.get(value) for value in node.input[:2]} == {"DequantizeLinear"}


@pytest.mark.parametrize("name", INTEGER)
def test_weights_keep_to_seven_bits_where_products_would_saturate(
    name: str, converted: dict[str, Path]
) -> None:
    tensors = onnx.load(converted[name]).graph.initializer
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in tensors
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    largest = max(np.abs(weight.astype(int)).max() for weight in weights)
    assert largest > 64 if multiplies_int8_exactly() else largest <= 64


def _stored_elements(path: Path) -> Counter[int]:
    """How many numbers of each type the file's constants hold."""
    counted: Counter[int] = Counter()
    for tensor in onnx.load(path).graph.initializer:
        counted[tensor.data_type] += int(np.prod(tensor.dims))
    return counted
