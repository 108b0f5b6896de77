"""Tiny ONNX models for the tests of post-training quantization."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

CHANNELS, SIZE = 3, 6


def model_of(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, np.ndarray],
    *,
    shape: Sequence[int | str] = ("batch", CHANNELS, SIZE, SIZE),
    output: str = "logits",
) -> ModelProto:
    """A model with these nodes, from `input` to the output."""
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [ValueInfoProto(name=output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(operator: str, inputs: str, output: str, **attributes: object) -> NodeProto:
    """A node named after its output; the inputs are separated by spaces."""
    return helper.make_node(operator, inputs.split(), [output], name=f"/{output}", **attributes)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Normally distributed numbers, float32."""
    found: np.ndarray = scale * np.random.default_rng(seed).standard_normal(shape, np.float32)
    return found.astype(np.float32)


def run(model: ModelProto, images: np.ndarray, output: str | None = None) -> np.ndarray:
    """The model's output, or another of its values, for these images."""
    shown = ModelProto()
    shown.CopyFrom(model)
    if output is not None:
        del shown.graph.output[:]
        shown.graph.output.add(name=output)
    session = onnxruntime.InferenceSession(shown.SerializeToString())
    found: np.ndarray = session.run(None, {"input": images})[0]
    return found


def constant(model: ModelProto, name: str) -> np.ndarray:
    """The initializer's values."""
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    found: np.ndarray = numpy_helper.to_array(tensor)
    return found
