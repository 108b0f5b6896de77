"""What the quantizer says, and what it leaves alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import calibrate

from spaces.quantization.ptq.int8 import prepared, quantize_int8, quietly


def test_the_quantizer_is_silent_and_others_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with quietly():
        vars(calibrate)["print"]("Collecting tensor data and making histogram ...")
        print("stopping: running trials end first")  # noqa: T201
    assert capsys.readouterr().out == "stopping: running trials end first\n"
    assert "print" not in vars(calibrate)


def test_arithmetic_of_shapes_is_not_rounded(tmp_path: Path) -> None:
    # The image's height of 5, halved and doubled again, is the number of its rows to keep.
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["height"], axis=0),
        helper.make_node("Cast", ["height"], ["as float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as float", "half"], ["halved"]),
        helper.make_node("Add", ["halved", "halved"], ["doubled"]),
        helper.make_node("Cast", ["doubled"], ["rows"], to=TensorProto.INT64),
        helper.make_node("Slice", ["input", "zero", "rows", "two"], ["kept"]),
        helper.make_node("Conv", ["kept", "weight"], ["logits"]),
    ]
    values = {"two": np.array([2]), "zero": np.array([0]), "half": np.array([0.5], np.float32),
              "weight": np.ones((1, 1, 1, 1), np.float32)}  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(node.op_type, node.input, node.output, f"node {i}",
                          **{a.name: helper.get_attribute_value(a) for a in node.attribute})
         for i, node in enumerate(nodes)],
        "shapes",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, "height", 5])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "float.onnx",
    )
    images = np.random.default_rng(0).random((2, 1, 5, 5), np.float32)
    with prepared(tmp_path / "float.onnx") as path:
        quantize_int8(path, tmp_path / "int8.onnx", batches=[images])
    rounded = onnx.load(tmp_path / "int8.onnx").graph.node
    made = {name: node for node in rounded for name in node.output}
    (conv,) = [node for node in rounded if node.op_type == "Conv"]
    assert made[conv.input[1]].op_type == "DequantizeLinear"
    (added,) = [node for node in rounded if node.op_type == "Add"]
    assert {made[name].op_type for name in added.input} == {"Mul"}
