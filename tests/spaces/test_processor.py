import platform

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spaces.processor import multiplies_int8_exactly, processor_name


def _largest_product() -> int:
    """What the runtime finds for the sum of 64 products 255 × 127."""
    weights = onnx.numpy_helper.from_array(np.full((64, 16), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["inputs", "weights"], ["sums"])],
        "products",
        [helper.make_tensor_value_info("inputs", TensorProto.UINT8, [1, 64])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [1, 16])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return int(session.run(None, {"inputs": np.full((1, 64), 255, np.uint8)})[0][0, 0])


def test_int8_is_called_exact_only_where_the_runtime_adds_without_saturating() -> None:
    exact = _largest_product() == 64 * 255 * 127
    assert exact or not multiplies_int8_exactly()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks for x86's instructions")
def test_int8_is_called_exact_wherever_the_runtime_adds_without_saturating() -> None:
    assert multiplies_int8_exactly() == (_largest_product() == 64 * 255 * 127)


def test_the_processor_has_a_name() -> None:
    assert processor_name().strip()
