"""What is removed from ONNX files, and what must stay as it is."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper

from search.targets.onnx_export import INPUT, OUTPUT, export_onnx
from search.targets.onnx_runtime import Session
from search.targets.onnx_slimming import slim
from spaces.quantization.int8_static import Int8Static
from spaces.students.timm_model import Timm

SHAPE = (3, 32, 32)


def _images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SHAPE)).astype(np.float32)


def _export(model: str, path: Path) -> None:
    torch.manual_seed(0)
    network = Timm(model=model).build(classes=5, channels=3, image_size=32)
    export_onnx(network, path, image_shape=SHAPE)


def _int8(model: str, folder: Path) -> Path:
    _export(model, folder / "float.onnx")
    Int8Static().convert(folder / "float.onnx", folder / "int8.onnx", calibration=[_images()])
    return folder / "int8.onnx"


def _weights(model: ModelProto) -> list[int]:
    """The sizes of the weights, as a multiset."""
    kinds = (TensorProto.INT8, TensorProto.INT32)
    return sorted(t.ByteSize() for t in model.graph.initializer if t.data_type in kinds)


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit"])
def test_an_int8_file_is_smaller_and_predicts_exactly_the_same(model: str, tmp_path: Path) -> None:
    path = _int8(model, tmp_path)
    before, size = Session(path, threads=1).predict(_images()), path.stat().st_size
    slim(path)
    assert np.array_equal(Session(path, threads=1).predict(_images()), before)
    assert path.stat().st_size < 0.93 * size
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_what_users_call_keeps_its_name_and_its_shape(tmp_path: Path) -> None:
    path = _int8("test_resnet", tmp_path)
    before = onnx.load(path).graph
    slim(path)
    after = onnx.load(path).graph
    assert [value.name for value in (*after.input, *after.output)] == [INPUT, OUTPUT]
    assert (after.input, after.output) == (before.input, before.output)


def test_only_zeros_that_are_the_default_are_removed(tmp_path: Path) -> None:
    path = _int8("test_efficientnet", tmp_path)
    slim(path)
    graph = onnx.load(path).graph
    users = {name: node.op_type for node in graph.node for name in node.input}
    stored = {tensor.name for tensor in graph.initializer}
    weights = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in stored]
    by_user: dict[str, set[int]] = {user: set() for user in ("Conv", "Gemm")}
    for node in weights:
        by_user[users[node.output[0]]].add(len(node.input))
    # ONNX Runtime would compute a matrix product without zero points in floats.
    assert by_user == {"Conv": {2}, "Gemm": {3}}
    activations = [n for n in graph.node if n.op_type == "QuantizeLinear"]
    assert {len(node.input) for node in activations} == {3}


def test_a_zero_point_that_is_not_zero_stays(tmp_path: Path) -> None:
    path = _int8("test_efficientnet", tmp_path)
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = next(
        tensors[node.input[2]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in tensors
        and tensors[node.input[0]].data_type == TensorProto.INT8
    )
    changed.CopyFrom(
        onnx.numpy_helper.from_array(np.ones(tuple(changed.dims), dtype=np.int8), changed.name)
    )
    onnx.save(model, path)
    before = Session(path, threads=1).predict(_images())
    slim(path)
    assert np.array_equal(Session(path, threads=1).predict(_images()), before)


def _nodes_with_a_branch() -> Iterator[onnx.NodeProto]:
    inner = helper.make_node("Add", [INPUT, "shift"], ["chosen"], "inner", doc_string="a comment")
    result = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
    branch = helper.make_graph([inner], "branch", [], [result])
    yield helper.make_node("Constant", [], ["always"], value=helper.make_tensor(
        "yes", TensorProto.BOOL, [], [True]))  # fmt: skip
    yield helper.make_node("If", ["always"], ["long name"], then_branch=branch, else_branch=branch)
    yield helper.make_node("Relu", ["long name"], [OUTPUT], "last")


def test_names_stay_where_a_graph_inside_can_use_them(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    shape: list[str | int | None] = ["batch", *SHAPE]
    graph = helper.make_graph(
        list(_nodes_with_a_branch()),
        "outer",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(np.array(0.5, np.float32), "shift")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    slim(path)
    found = Session(path, threads=1).predict(_images())
    assert np.array_equal(found, np.maximum(_images() + np.float32(0.5), 0))
    assert b"long name" in path.read_bytes()
    assert b"a comment" not in path.read_bytes()
