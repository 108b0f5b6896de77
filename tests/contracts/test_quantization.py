"""What every quantization promises, on a network that has learned something."""

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from search.data.dataset import Dataset
from search.evaluation.measure import calibration_batches, normalized_batches
from search.files.atomic import file_digest
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session
from spaces import registry
from spaces.axes.quantization import Quantization
from spaces.processor import multiplies_int8_exactly
from spaces.quantization.int4_weights import Int4Weights
from spaces.quantization.int8_mixed import Int8Mixed
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.ptq.int8 import CALIBRATIONS
from spaces.quantization.weight_compression.packed import unpacked
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from tests.messages import naming

pytestmark = pytest.mark.slow

METHODS = registry.methods("quantization")
SMALLER = [name for name, method in METHODS.items() if method.shrinks.size]
INTEGER = [name for name in METHODS if name.startswith("int8")]
# Too coarse for a student that was not trained for them.
COARSE = ("binary", "ternary")
FINE = [name for name in METHODS if name not in COARSE]
# Their layers read bytes, all but those that are left in floats.
WHOLLY_INTEGER = [name for name in INTEGER if name != "int8_mixed"]


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


@pytest.mark.parametrize("name", FINE)
def test_predictions_are_almost_always_those_of_the_floats(
    name: str, exported: Path, converted: dict[str, Path], stripes: Dataset
) -> None:
    floats, logits = _logits(exported, stripes), _logits(converted[name], stripes)
    assert logits.shape == floats.shape
    assert (logits.argmax(axis=1) == floats.argmax(axis=1)).mean() >= 0.95


@pytest.mark.parametrize("name", FINE)
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
    together = session.predict(images)
    if name == "int8_dynamic":  # its ranges are those of the batch
        assert np.abs(alone - together).mean() < 0.02 * together.std()
    else:
        assert np.allclose(alone, together, atol=1e-4)


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


@pytest.mark.parametrize("name", METHODS)
def test_converting_prints_nothing(
    name: str,
    exported: Path,
    stripes: Dataset,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _convert(name, exported, tmp_path / "converted.onnx", stripes)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", SMALLER)
def test_the_file_is_smaller_than_that_of_floats(
    name: str, exported: Path, converted: dict[str, Path]
) -> None:
    assert converted[name].stat().st_size < 0.6 * exported.stat().st_size


@pytest.mark.parametrize("name", WHOLLY_INTEGER)
def test_weights_are_stored_as_bytes(name: str, converted: dict[str, Path]) -> None:
    stored = _stored_elements(converted[name])
    small = stored[TensorProto.INT8] + stored[TensorProto.UINT8]
    assert small > 0.9 * sum(stored.values())


@pytest.mark.parametrize("name", WHOLLY_INTEGER)
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
    weights = _convolution_weights(converted[name], TensorProto.INT8)
    if not weights:
        # Unsigned by unsigned: such products are added in 32 bits everywhere.
        assert _convolution_weights(converted[name], TensorProto.UINT8)
        return
    largest = max(np.abs(weight.astype(int)).max() for weight in weights)
    assert largest > 64 if multiplies_int8_exactly() else largest <= 64


@pytest.mark.parametrize("name", METHODS)
def test_a_fresh_student_is_converted_on_noise_to_a_file_of_the_same_size(
    name: str, converted: dict[str, Path], tmp_path: Path
) -> None:
    """As admission does, which must know the size before the student is trained."""
    if name == "int8_mixed":
        pytest.skip("which layers stay floats follows from the weights")
    torch.manual_seed(1)
    network = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
    export_onnx(_scattered(network), tmp_path / "float.onnx", image_shape=(1, 32, 32))
    method = METHODS[name]()
    assert isinstance(method, Quantization)
    noise = np.random.default_rng(0).standard_normal((8, 1, 32, 32), np.float32)
    method.convert(tmp_path / "float.onnx", tmp_path / "served.onnx", calibration=[noise])
    size = (tmp_path / "served.onnx").stat().st_size
    assert size == pytest.approx(converted[name].stat().st_size, rel=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_an_unpacked_file_predicts_the_same_and_is_plain(
    name: str, converted: dict[str, Path], stripes: Dataset, tmp_path: Path
) -> None:
    onnx.save(unpacked(converted[name]), tmp_path / "plain.onnx")
    model = onnx.load(tmp_path / "plain.onnx")
    assert not model.functions
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    found = _logits(tmp_path / "plain.onnx", stripes)
    assert np.allclose(found, _logits(converted[name], stripes), atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_while_a_network_is_rounded_it_computes_as_ever_in_shape_and_afterwards_in_value(
    name: str, schooled: nn.Module
) -> None:
    method = METHODS[name]()
    assert isinstance(method, Quantization)
    network, images = copy.deepcopy(schooled).eval(), torch.randn(4, 1, 32, 32)
    before = network(images)
    with method.rounded(network, torch.zeros(1, 1, 32, 32)):
        rounded = network.train()(images)
        assert rounded.shape == before.shape
        rounded.logsumexp(dim=1).sum().backward()
        assert all(p.grad is not None for p in network.parameters())
    # Statistics of normalisation moved, as they do in training; weights have not.
    assert all(map(torch.equal, network.parameters(), schooled.parameters()))
    assert network.state_dict().keys() == schooled.state_dict().keys()


@pytest.mark.parametrize("name", METHODS)
def test_tuning_is_a_share_of_the_epochs(name: str) -> None:
    method = METHODS[name]()
    assert isinstance(method, Quantization)
    assert 0 <= method.tuning_share <= 1


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_every_calibration_keeps_the_predictions(
    calibration: str, exported: Path, stripes: Dataset, tmp_path: Path
) -> None:
    method = Int8Static(calibration=calibration)
    path = tmp_path / "served.onnx"
    method.convert(exported, path, calibration=calibration_batches(stripes, seed=0))
    floats, logits = _logits(exported, stripes), _logits(path, stripes)
    assert (logits.argmax(axis=1) == floats.argmax(axis=1)).mean() >= 0.95


def test_calibrations_give_different_ranges(
    exported: Path, converted: dict[str, Path], stripes: Dataset, tmp_path: Path
) -> None:
    ranges = [_scales(converted["int8_static"])]
    for calibration in ("entropy", "percentile", "mse"):
        path = tmp_path / f"{calibration}.onnx"
        batches = calibration_batches(stripes, seed=0)
        Int8Static(calibration=calibration).convert(exported, path, calibration=batches)
        ranges.append(_scales(path))
    assert len(set(ranges)) == 4


def test_the_layers_that_suffer_most_are_left_in_floats(
    exported: Path, stripes: Dataset, tmp_path: Path
) -> None:
    kept = {}
    for count in (1, 3):
        path = tmp_path / f"{count}.onnx"
        batches = calibration_batches(stripes, seed=0)
        Int8Mixed(float_layers=count).convert(exported, path, calibration=batches)
        kept[count] = _float_layers(path)
    assert len(kept[1]) == 1
    assert len(kept[3]) == 3
    assert kept[1] < kept[3]


TECHNIQUES = [
    Int8Static(equalization=True),
    Int8Static(migration=0.5),
    Int8Static(rounding="adaround", bias_correction="full"),
    Int8Mixed(calibration="mse", bias_correction="fast"),
    Int4Weights(equalization=True, bias_correction="fast"),
    Int4Weights(rounding="adaround", bias_correction="full"),
]


@pytest.mark.parametrize("method", TECHNIQUES, ids=str)
def test_a_technique_keeps_the_predictions_and_the_size_and_repeats_itself(
    method: Quantization,
    exported: Path,
    converted: dict[str, Path],
    stripes: Dataset,
    tmp_path: Path,
) -> None:
    found = []
    for path in (tmp_path / "served.onnx", tmp_path / "again.onnx"):
        method.convert(exported, path, calibration=calibration_batches(stripes, seed=0))
        found.append(_logits(path, stripes))
    assert np.array_equal(*found)
    floats = _logits(exported, stripes)
    assert (found[0].argmax(axis=1) == floats.argmax(axis=1)).mean() >= 0.95
    assert np.abs(found[0] - floats).mean() < 0.1 * floats.std()
    size = converted[method.name].stat().st_size
    assert path.stat().st_size == pytest.approx(size, rel=0.005)


@pytest.mark.parametrize(
    "method", [Int8Static(rounding="adaround"), Int4Weights(rounding="adaround")], ids=str
)
def test_adapted_rounding_brings_the_logits_nearer_to_the_floats(
    method: Quantization,
    exported: Path,
    converted: dict[str, Path],
    stripes: Dataset,
    tmp_path: Path,
) -> None:
    path = tmp_path / "served.onnx"
    method.convert(exported, path, calibration=calibration_batches(stripes, seed=0))
    floats, nearest = _logits(exported, stripes), _logits(converted[method.name], stripes)
    assert np.square(_logits(path, stripes) - floats).mean() < np.square(nearest - floats).mean()


@pytest.mark.parametrize("name", ["int8_static", "int4_weights"])
def test_a_technique_without_images_says_what_it_needs(
    name: str, exported: Path, tmp_path: Path
) -> None:
    method = METHODS[name](bias_correction="full")
    assert isinstance(method, Quantization)
    with pytest.raises(ValueError, match="calibration images"):
        method.convert(exported, tmp_path / "served.onnx", calibration=[])


def test_tuned_weights_are_not_equalized() -> None:
    recipe = Recipe.from_params(
        {
            "student": "timm",
            "training": "standard",
            "distillation": "labels",
            "pruning": "none",
            "quantization": "int4_weights",
            "quantization.int4_weights.tuning": 0.5,
            "quantization.int4_weights.equalization": True,
        }
    )
    assert naming("tuning", "equalization").search(str(recipe.conflict()))


def _float_layers(path: Path) -> set[str]:
    """Names of the layers whose weights are floats."""
    graph = onnx.load(path).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    return {
        node.name
        for node in graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
        and makers.get(node.input[1]) != "DequantizeLinear"
    }


def _scales(path: Path) -> tuple[float, ...]:
    tensors = onnx.load(path).graph.initializer
    return tuple(
        float(onnx.numpy_helper.to_array(tensor))
        for tensor in tensors
        if tensor.name.endswith("_scale") and not tensor.dims
    )


def _scattered(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.05)
    return network


def _convolution_weights(path: Path, kind: int) -> list[np.ndarray]:
    return [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == kind and len(tensor.dims) == 4
    ]


def _stored_elements(path: Path) -> Counter[int]:
    """How many numbers of each type the file's constants hold."""
    counted: Counter[int] = Counter()
    for tensor in onnx.load(path).graph.initializer:
        counted[tensor.data_type] += int(np.prod(tensor.dims))
    return counted
