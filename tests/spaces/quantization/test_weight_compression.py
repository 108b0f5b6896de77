"""What packed files hold, against cases worked by hand, and what becomes of them when loaded."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from spaces.quantization.weight_compression.decoders import DOMAIN
from spaces.quantization.weight_compression.encodings import (
    Encoded,
    coded,
    halved,
    sparse,
    stored_bytes,
)
from spaces.quantization.weight_compression.packed import pack, pack_sparse, unpacked
from tests.messages import naming

SHAPE = (6, 4, 3, 3)
ONE = np.ones(1, np.float32)


def _model(weights: np.ndarray) -> ModelProto:
    """A convolution and a ReLU."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "weights"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["logits"]),
        ],
        "model",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 6, 6, 6])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _decoded(encoded: Encoded, folder: Path) -> np.ndarray:
    path = folder / "packed.onnx"
    onnx.save(pack(_model(np.zeros(SHAPE, np.float32)), {"weights": encoded}), path)
    plain = {tensor.name: tensor for tensor in unpacked(path).graph.initializer}
    assert plain.keys() == {"weights"}
    weights: np.ndarray = numpy_helper.to_array(plain["weights"])
    return weights


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_five_ternary_digits_share_a_byte() -> None:
    levels = np.array([-1, 0, 1], np.float32)
    encoded = coded(np.array([2, 0, 1, 0, 2, 1]), levels, ONE)
    # 2 + 0*3 + 1*9 + 0*27 + 2*81, then 1 and padding.
    assert encoded.inputs[0].tolist() == [173, 1]


def test_eight_binary_digits_share_a_byte() -> None:
    encoded = coded(np.array([1, 0, 0, 0, 0, 0, 0, 1, 1]), np.array([-1, 1], np.float32), ONE)
    assert encoded.inputs[0].tolist() == [129, 1]


def test_two_of_sixteen_levels_share_a_byte() -> None:
    encoded = coded(np.array([[3, 15]]), np.arange(16, dtype=np.float32), ONE)
    assert encoded.inputs[0].tolist() == [3 + 15 * 16]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 15, 16, 17, 255, 256])
def test_codes_come_back_to_the_bit(count: int, tmp_path: Path) -> None:
    levels = _random().standard_normal(count).astype(np.float32)
    indices = _random().integers(0, count, SHAPE)
    indices.flat[:2] = 0, count - 1
    scale = _random().random((6, 1, 1, 1)).astype(np.float32)
    found = _decoded(coded(indices, levels, scale), tmp_path)
    assert np.array_equal(found, levels[indices] * scale)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_sparse_weights_come_back_to_the_bit(density: float, tmp_path: Path) -> None:
    weights = _random().standard_normal(SHAPE).astype(np.float32)
    weights[_random().random(SHAPE) >= density] = 0
    assert np.array_equal(_decoded(sparse(weights), tmp_path), weights)


def test_sparse_weights_are_a_bitmap_and_the_others() -> None:
    encoded = sparse(np.array([0, 7, 0, 0, 0, 0, 0, 0, 0, -2], np.int8))
    assert encoded.inputs[0].tolist() == [2, 2]
    assert encoded.inputs[2].tolist() == [7, -2, 0]
    assert encoded.inputs[2].dtype == np.int8


def test_the_zero_of_unsigned_bytes_is_where_most_of_them_are() -> None:
    encoded = sparse(np.array([128, 128, 130, 128, 128, 128, 128, 128, 0, 128], np.uint8))
    assert encoded.inputs[0].tolist() == [4, 1]
    assert encoded.inputs[2].tolist() == [130, 0, 128]


def test_halves_are_the_nearest_float16_and_stay_finite(tmp_path: Path) -> None:
    weights = _random().standard_normal(SHAPE).astype(np.float32)
    weights.flat[:2] = 1e6, -1e6
    found = _decoded(halved(weights), tmp_path)
    assert np.array_equal(found, weights.clip(-65504, 65504).astype(np.float16).astype(np.float32))


def test_a_byte_holds_as_many_digits_as_fit() -> None:
    digits = {2: 8, 3: 5, 4: 4, 5: 3, 6: 3, 7: 2, 16: 2, 17: 1, 256: 1}
    for count, expected in digits.items():
        encoded = coded(np.zeros(840, int), np.zeros(count, np.float32), ONE)
        assert len(encoded.inputs[0]) == 840 / expected


@pytest.mark.parametrize("count", [1, 257])
def test_too_few_or_too_many_levels_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=naming(2, 256, count)):
        coded(np.zeros(4, int), np.zeros(count, np.float32), ONE)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_of_no_level_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match=naming(2, index)):
        coded(np.array([0, index]), np.zeros(3, np.float32), ONE)


def test_a_packed_model_is_valid_and_predicts_as_the_unpacked_one(tmp_path: Path) -> None:
    weights = _random().standard_normal(SHAPE).astype(np.float32)
    weights[_random().random(SHAPE) > 0.3] = 0
    packed = pack(_model(weights), {"weights": sparse(weights)})
    onnx.checker.check_model(packed)
    images = _random().standard_normal((2, 4, 8, 8)).astype(np.float32)
    expected = _run(_model(weights).SerializeToString(), images)
    assert np.array_equal(_run(packed.SerializeToString(), images), expected)


@pytest.mark.parametrize("kind", ["coded", "sparse", "half"])
def test_nothing_is_left_to_decode_once_the_file_is_loaded(kind: str, tmp_path: Path) -> None:
    weights = _random().integers(0, 3, SHAPE).astype(np.float32)
    encoded = {
        "coded": coded(weights.astype(int), np.arange(3, dtype=np.float32), ONE),
        "sparse": sparse(weights),
        "half": halved(weights),
    }[kind]
    operators = []
    for name, model in [
        ("plain", _model(weights)),
        ("packed", pack(_model(weights), {"weights": encoded})),
    ]:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / name)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model.SerializeToString(), options)
        operators.append([node.op_type for node in onnx.load(tmp_path / name).graph.node])
    assert operators[0] == operators[1]


def test_tensors_with_many_zeros_alone_are_stored_sparsely(tmp_path: Path) -> None:
    dense = _random().standard_normal((64, 4, 3, 3)).astype(np.float32)
    holed = np.where(_random().random(dense.shape) < 0.5, dense, 0).astype(np.float32)
    for weights, expected in [(dense, 0), (holed, 1)]:
        packed = pack_sparse(_model(weights))
        assert sum(node.domain == DOMAIN for node in packed.graph.node) == expected
        onnx.save(packed, tmp_path / "model.onnx")
        (plain,) = unpacked(tmp_path / "model.onnx").graph.initializer
        assert np.array_equal(numpy_helper.to_array(plain), weights)
    assert stored_bytes(sparse(holed)) < 0.6 * holed.nbytes


@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, 0), (np.uint8, 128)])
def test_int8_weights_stay_int8_when_stored_sparsely(
    dtype: type[np.integer], zero: int, tmp_path: Path
) -> None:
    weights = _random().integers(-3, 4, (64, 64)) * (_random().random((64, 64)) < 0.4)
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["logits"])],
        "model",
        [],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [64, 64])],
        [
            numpy_helper.from_array((weights + zero).astype(dtype), "weights"),
            numpy_helper.from_array(np.float32(0.5), "scale"),
            numpy_helper.from_array(np.array(zero, dtype), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    packed = pack_sparse(model)
    assert len(packed.SerializeToString()) < len(model.SerializeToString())
    session = onnxruntime.InferenceSession(packed.SerializeToString())
    assert np.array_equal(session.run(None, {})[0], weights * np.float32(0.5))


def test_a_plain_file_is_unpacked_to_itself(tmp_path: Path) -> None:
    model = _model(np.ones(SHAPE, np.float32))
    onnx.save(model, tmp_path / "model.onnx")
    assert unpacked(tmp_path / "model.onnx") == model


def test_an_unknown_tensor_or_opset_cannot_be_packed() -> None:
    model = _model(np.ones(SHAPE, np.float32))
    with pytest.raises(ValueError, match="'bias'"):
        pack(model, {"bias": halved(np.ones(1, np.float32))})
    model.opset_import[0].version = 21
    with pytest.raises(ValueError, match=naming("opset", 17, 21)):
        pack(model, {})


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    packed = pack(_model(np.ones(SHAPE, np.float32)), {"weights": halved(np.ones(SHAPE))})
    packed.opset_import[-1].version = 4100
    path = tmp_path / "model.onnx"
    onnx.save(packed, path)
    with pytest.raises(ValueError, match=naming(path, 4100)):
        unpacked(path)


def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    indices = _random().integers(0, 3, SHAPE)
    encoded = coded(indices, np.arange(3, dtype=np.float32), ONE)
    whole = bytearray(pack(_model(np.zeros(SHAPE, np.float32)), {"weights": encoded})
                      .SerializeToString())  # fmt: skip
    generator, refused = _random(), 0
    path = tmp_path / "damaged.onnx"
    for attempt in range(300):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged[: generator.integers(1, len(whole))] if attempt % 3 else damaged)
        try:
            unpacked(path)
        except ValueError:
            refused += 1
    assert refused > 100


def _run(model: bytes, images: np.ndarray) -> np.ndarray:
    logits: np.ndarray = onnxruntime.InferenceSession(model).run(None, {"input": images})[0]
    return logits
