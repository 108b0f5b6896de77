"""Reading and changing of ONNX graphs, for the techniques of post-training quantization."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spaces.quantization.weight_compression.weights import Layer, weighted_layers


@dataclass
class OnnxGraph:
    """A model with its constants, and with the makers and readers of its values by name.

    Attributes:
        model: the model; `set_constant` and `own_constant` change it.
        constants: the initializers, by name.
        makers: the node that makes each value.
        readers: the nodes that read each value, once for each of their inputs.
    """

    model: ModelProto
    constants: dict[str, TensorProto] = field(init=False)
    makers: dict[str, NodeProto] = field(init=False)
    readers: dict[str, list[NodeProto]] = field(init=False)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {value: node for node in graph.node for value in node.output}
        self.readers = {}
        for node in graph.node:
            for value in node.input:
                self.readers.setdefault(value, []).append(node)

    @classmethod
    def copy_of(cls, model: ModelProto) -> "OnnxGraph":
        """Return the graph of a copy of `model`."""
        copied = ModelProto()
        copied.CopyFrom(model)
        return cls(copied)

    @property
    def input(self) -> str:
        """The name of the model's input."""
        return next(
            str(value.name) for value in self.model.graph.input if value.name not in self.constants
        )

    def constant(self, name: str) -> np.ndarray:
        """Return the initializer's values."""
        values: np.ndarray = numpy_helper.to_array(self.constants[name])
        return values

    def set_constant(self, name: str, values: np.ndarray) -> None:
        """Replace the initializer's values, or add the initializer."""
        if name not in self.constants:
            self.constants[name] = self.model.graph.initializer.add()
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.constants[name].CopyFrom(tensor)

    def own_constant(self, node: NodeProto, place: int) -> str:
        """Return the name of the node's constant input, which no other input reads afterwards.

        The exporter stores equal constants once. A constant with several readers is copied.
        """
        name = str(node.input[place])
        if len(self.readers[name]) == 1:
            return name
        own = self.new_name(f"{name}.{node.name or node.output[0]}")
        self.set_constant(own, self.constant(name))
        # The readers list the node once for each of its inputs, and only this input changes.
        self.readers[name].remove(node)
        self.readers[own] = [node]
        node.input[place] = own
        return own

    def add_to_bias(self, node: NodeProto, change: np.ndarray) -> None:
        """Add a change, [channels], to a layer's bias, if that is a float constant.

        A convolution or Gemm without a bias gets one. A matrix product has its bias in the addition
        that follows, perhaps behind its rounding to bytes.
        """
        if node.op_type != "MatMul" and len(node.input) < 3:
            node.input.append(self.new_name(f"{node.name or node.output[0]}.bias"))
            self.set_constant(str(node.input[2]), change)
            self.readers[node.input[2]] = [node]
            return
        adding = self._addition_after(node) if node.op_type == "MatMul" else node
        for place, name in enumerate(adding.input if adding else ()):
            is_bias = name in self.constants and self.constant(name).shape == change.shape
            if adding and is_bias and (place == 2 or node.op_type == "MatMul"):
                own = self.own_constant(adding, place)
                self.set_constant(own, self.constant(own) + change.astype(np.float32))

    def _addition_after(self, node: NodeProto) -> NodeProto | None:
        reader = self.only_reader(str(node.output[0]))
        while reader is not None and reader.op_type in ("QuantizeLinear", "DequantizeLinear"):
            reader = self.only_reader(str(reader.output[0]))
        return reader if reader is not None and reader.op_type == "Add" else None

    def new_name(self, wish: str) -> str:
        """Return a name that no value of the model has: the wish, perhaps with a number."""
        known = self.constants.keys() | self.makers.keys() | {self.input}
        name, number = wish, 0
        while name in known:
            number += 1
            name = f"{wish}.{number}"
        return name

    def only_reader(self, value: str) -> NodeProto | None:
        """Return the node that alone reads the value; None if others or the user read it too."""
        readers = self.readers.get(value, [])
        is_output = any(output.name == value for output in self.model.graph.output)
        return readers[0] if len(readers) == 1 and not is_output else None


def folded(model: ModelProto) -> ModelProto:
    """Return a model whose constants are all initializers, as in a file from `prepared`.

    The exporter writes small constants as nodes, and an equal constant as an Identity node.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    names = {tensor.name for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [same.get(value, value) for value in node.input]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            names.add(tensor.name)
        elif (
            node.op_type == "Identity" and node.input[0] in names and node.output[0] not in outputs
        ):
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return result


def layers_with_own_weights(model: ModelProto) -> list[Layer]:
    """Return the layers whose weights are float32 or bytes of their own, in the model's order.

    Layers that share their weights are left out, and so are unusual ones: convolutions of one or
    three dimensions or with `auto_pad`, and Gemm with other factors than 1.
    """
    uses = Counter(value for node in model.graph.node for value in node.input)
    dimensions = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    return [
        layer
        for layer in weighted_layers(model)
        if uses[layer.name] == 1 and _is_usual(layer.node, dimensions[layer.name])
    ]


def attributes(node: NodeProto) -> dict[str, object]:
    """Return the node's attributes, by name."""
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def channel_axis_of_output(node: NodeProto) -> int:
    """Return the axis of the channels in a layer's output."""
    return 1 if node.op_type == "Conv" else -1


def part_that_makes(model: ModelProto, values: Iterable[str]) -> ModelProto:
    """Return the part of the model that makes these values, with the values as its outputs."""
    values = list(dict.fromkeys(values))
    makers = {value: node for node in model.graph.node for value in node.output}
    needed, waiting = set(), list(values)
    while waiting:
        value = waiting.pop()
        if value not in needed:
            needed.add(value)
            waiting.extend(makers[value].input if value in makers else ())
    nodes = [node for node in model.graph.node if needed & set(node.output)]
    graph = helper.make_graph(
        nodes,
        "part",
        list(model.graph.input),
        [onnx.ValueInfoProto(name=value) for value in values],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return helper.make_model(
        graph,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=model.ir_version,
    )


def _is_usual(node: NodeProto, dimensions: int) -> bool:
    found = attributes(node)
    if node.op_type == "Conv":
        return dimensions == 4 and found.get("auto_pad", b"NOTSET") == b"NOTSET"
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return dimensions == 2 and all(found.get(name, one) == one for name, one in usual.items())
