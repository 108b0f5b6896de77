"""Corrected biases: the mean error of each layer's output vanishes, in bytes and in codes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from spaces.quantization.ptq.bias_correction import correct_from_outputs, correct_from_weights
from spaces.quantization.ptq.int8 import largest_int8_weight, prepared, quantize_int8
from spaces.quantization.ptq.qdq_network import QdqNetwork
from spaces.quantization.ptq.quantized_network import QuantizedNetwork
from spaces.quantization.ptq.refinement import refine
from spaces.quantization.weight_compression.coded_network import CodedNetwork
from spaces.quantization.weight_compression.codes import four_bit_codes
from tests.spaces.quantization.ptq_models import constant, model_of, node, normal, run

# Their mean is not zero: a mean error of the weights shifts the outputs.
IMAGES = 1 + normal(64, 3, 6, 6, seed=5)

Correct = Callable[[QuantizedNetwork, ModelProto, np.ndarray], None]


def _network() -> ModelProto:
    """A convolution with a bias and padding, one without a bias, and a matrix product."""
    model = model_of(
        [
            node("Conv", "input w1 b1", "a", pads=[1, 1, 1, 1]),
            node("Relu", "a", "h"),
            node("Conv", "h w2", "b"),
            node("Relu", "b", "c"),
            node("GlobalAveragePool", "c", "d"),
            node("Flatten", "d", "e"),
            node("MatMul", "e w3", "f"),
            node("Add", "f b3", "logits"),
        ],
        {
            "w1": normal(8, 3, 3, 3, seed=1), "b1": normal(8, seed=2),
            "w2": normal(32, 8, 3, 3, seed=3, scale=0.2),
            "w3": normal(32, 4, seed=4), "b3": np.zeros(4, np.float32),
        },
    )  # fmt: skip
    model.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    )
    return model


def _coded() -> tuple[ModelProto, QuantizedNetwork]:
    model = _network()
    return model, CodedNetwork(model, four_bit_codes, ends=True)


def _integer(folder: Path) -> tuple[ModelProto, QuantizedNetwork]:
    onnx.save(_network(), folder / "float.onnx")
    with prepared(folder / "float.onnx") as path:
        quantize_int8(path, folder / "int8.onnx", batches=[IMAGES])
        model = onnx.load(path)
    quantized = onnx.load(folder / "int8.onnx")
    return model, QdqNetwork(model, quantized, largest=largest_int8_weight())


@pytest.fixture(params=["codes", "bytes"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelProto, QuantizedNetwork]:
    """A float network and its quantized one."""
    return _coded() if request.param == "codes" else _integer(tmp_path)


def _shift(model: ModelProto, network: QuantizedNetwork, place: int) -> np.ndarray:
    """The mean error of each channel of a layer's output."""
    layer = network.layers[place]
    wanted = run(model, IMAGES, str(layer.product.layer.node.output[0]))
    error = run(network.model, IMAGES, layer.output) - wanted
    axes = (0, 2, 3) if layer.node.op_type == "Conv" else (0,)
    found: np.ndarray = error.mean(axis=axes)
    return found


@pytest.mark.parametrize("correct", [correct_from_weights, correct_from_outputs])
def test_the_shift_of_the_first_layer_vanishes(
    correct: Correct, pair: tuple[ModelProto, QuantizedNetwork]
) -> None:
    model, network = pair
    before = np.abs(_shift(model, network, 0)).max()
    correct(network, model, IMAGES)
    assert np.abs(_shift(model, network, 0)).max() < 0.2 * before


def test_the_shift_of_every_convolution_vanishes_by_measured_outputs(
    pair: tuple[ModelProto, QuantizedNetwork],
) -> None:
    model, network = pair
    before = [np.abs(_shift(model, network, place)).max() for place in range(2)]
    correct_from_outputs(network, model, IMAGES)
    for place in range(2):
        assert np.abs(_shift(model, network, place)).max() < 0.1 * before[place]


@pytest.mark.parametrize("correct", [correct_from_weights, correct_from_outputs])
def test_the_mean_error_of_the_logits_shrinks(correct: Correct) -> None:
    model, network = _coded()
    wanted = run(model, IMAGES)
    before = np.abs((run(network.model, IMAGES) - wanted).mean(axis=0)).max()
    correct(network, model, IMAGES)
    after = np.abs((run(network.model, IMAGES) - wanted).mean(axis=0)).max()
    assert after < 0.5 * before


def test_a_layer_without_a_bias_gets_one(pair: tuple[ModelProto, QuantizedNetwork]) -> None:
    model, network = pair
    assert len(network.layers[1].node.input) == 2
    correct_from_outputs(network, model, IMAGES)
    assert len(network.layers[1].node.input) == 3


def test_the_addition_after_a_matrix_product_is_its_bias() -> None:
    model, network = _coded()
    correct_from_weights(network, model, IMAGES)
    assert constant(network.model, "b3").all()
    assert not constant(model, "b3").any()


def test_a_bias_in_bytes_stays_in_bytes(tmp_path: Path) -> None:
    model, network = _integer(tmp_path)
    before = {one.name: one.data_type for one in network.model.graph.initializer}
    correct_from_outputs(network, model, IMAGES)
    after = {one.name: one.data_type for one in network.model.graph.initializer}
    assert before.items() <= after.items()
    assert {after[name] for name in after.keys() - before.keys()} == {
        TensorProto.INT32,
        TensorProto.FLOAT,
    }


def test_images_are_required() -> None:
    model, network = _coded()
    with pytest.raises(ValueError, match="bias_correction: fast"):
        refine(network, model, np.zeros(0, np.float32), rounding="nearest", bias_correction="fast")
    refine(network, model, np.zeros(0, np.float32), rounding="nearest", bias_correction="none")


def test_rounding_to_bytes_chooses_integers_next_to_the_weights(tmp_path: Path) -> None:
    model, network = _integer(tmp_path)
    before = [network.quantized_weights(layer) for layer in network.layers]
    refine(network, model, IMAGES, rounding="adaround", bias_correction="none")
    for layer, old in zip(network.layers, before, strict=True):
        new = network.quantized_weights(layer)
        step = layer.scale.max().item()
        assert 0 < np.abs(new - old).max() <= 1.001 * step
        assert np.abs(new - network.float_weights(layer)).max() <= 1.001 * step


def test_adapted_codes_are_those_of_the_packed_file(tmp_path: Path) -> None:
    model, network = _coded()
    assert isinstance(network, CodedNetwork)
    refine(network, model, IMAGES, rounding="adaround", bias_correction="full")
    packed = run(network.packed(), IMAGES)
    assert packed == pytest.approx(run(network.model, IMAGES), abs=1e-5)
    assert not np.allclose(packed, run(_coded()[1].model, IMAGES), atol=1e-3)
