import platform

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spaces.processor import multiplies_int8_exactly, named_in, processor_name


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


# As Linux 6 writes them on a server, a Raspberry Pi, and an ARM server whose kernel names nothing.
CPUINFO = {
    "AMD EPYC 7763": "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 1\n"
    "model name\t: AMD EPYC 7763\n\nprocessor\t: 1\nmodel name\t: AMD EPYC 7763\n",
    "Raspberry Pi 5 Model B Rev 1.0": "processor\t: 0\nCPU implementer\t: 0x41\n"
    "CPU part\t: 0xd0b\n\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
    f"{platform.machine()} core 0x41 0xd40": "processor\t: 0\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU part\t: 0xd40\n",
}


@pytest.mark.parametrize("name", CPUINFO)
def test_machines_that_differ_have_names_that_differ(name: str) -> None:
    assert named_in(CPUINFO[name]) == name


def test_a_list_of_processors_that_names_none_gives_no_name() -> None:
    assert named_in("processor\t: 0\nflags\t: fpu\n") is None
