from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spaces.quantization.ptq.int8 import largest_int8_weight
from spaces.quantization.ptq.sensitivity import sensitivities, weight_counts


@pytest.fixture
def weights() -> list[np.ndarray]:
    """Of two layers, from 6 numbers to 5 and from 5 to 4."""
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((5, 6)), generator.standard_normal((4, 5))
    return [first.astype(np.float32), second.astype(np.float32)]


@pytest.fixture
def path(weights: list[np.ndarray], tmp_path: Path) -> Path:
    nodes = [
        helper.make_node("Gemm", ["input", "first"], ["hidden"], "one", transB=1),
        helper.make_node("Relu", ["hidden"], ["kept"], "relu"),
        helper.make_node("Gemm", ["kept", "second"], ["logits"], "two", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "two layers",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(each, name)
            for each, name in zip(weights, ("first", "second"), strict=True)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def _images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((20, 6), np.float32)


def _rounded_weights(weights: np.ndarray) -> np.ndarray:
    scale = np.abs(weights).max(axis=1, keepdims=True) / largest_int8_weight()
    rounded: np.ndarray = np.round(weights / scale) * scale
    return rounded


def _rounded_inputs(values: np.ndarray) -> np.ndarray:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = (high - low) / 255
    zero = np.round(-low / scale)
    rounded: np.ndarray = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
    return rounded


def _divergence(floats: np.ndarray, rounded: np.ndarray) -> float:
    shares = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (floats, rounded)]
    return float((shares[0] * np.log(shares[0] / shares[1])).sum(axis=1).mean())


def test_a_layers_sensitivity_is_what_rounding_it_alone_does_to_the_predictions(
    path: Path, weights: list[np.ndarray]
) -> None:
    first, second = (each.astype(float) for each in weights)
    images = _images().astype(float)
    kept = np.maximum(images @ first.T, 0)
    floats = kept @ second.T
    one = np.maximum(_rounded_inputs(images) @ _rounded_weights(first).T, 0) @ second.T
    two = _rounded_inputs(kept) @ _rounded_weights(second).T
    found = sensitivities(path, _images())
    assert found["one"] == pytest.approx(_divergence(floats, one), rel=0.02)
    assert found["two"] == pytest.approx(_divergence(floats, two), rel=0.02)


def test_the_same_images_give_the_same_sensitivities(path: Path) -> None:
    assert sensitivities(path, _images()) == sensitivities(path, _images())


def test_weights_are_counted_by_layer(path: Path) -> None:
    assert weight_counts(path) == {"one": 30, "two": 20}
