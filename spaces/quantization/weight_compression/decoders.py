"""The packed format, version 1: an ONNX file that decodes its weights from fewer bytes.

A packed file is an ONNX model with standard operators. In place of a tensor of weights, it holds
the encoded tensor and a node that decodes it. The node calls one of the functions below. The file
contains these functions in the domain `retort.packing`; the version of the domain is the version of
the format. Any ONNX runtime can load such a file. ONNX Runtime folds constants when it loads the
file, so the decoded weights are the same as in a plain file. Decoding takes time only during
loading, not during inference.

A packed file is as safe to read as any ONNX file. It contains only tensor operators, and these
check shapes and indices.

The functions use places = base^0, base^1, …, the place values of the digits in a byte:

    Coded(bytes, places, base, levels, scale, shape)
        Each byte holds several digits, lowest first. A digit is an index into `levels`. Digits
        after the last element of the shape are padding. The result is levels[digits] * scale.
    Sparse(bitmap, places, values, shape)
        Each byte holds eight bits, lowest first. A bit is 1 if the element has its own entry in
        `values`; these entries are in order. All other elements have the last entry of `values`.
    Half(values)
        The float16 values, converted to float32.
"""

import onnx
from onnx import FunctionProto, parser

DOMAIN = "retort.packing"
VERSION = 1
OPSET = 17

_CODED = """
Coded (bytes, places, base, levels, scale, shape) => (weights) {
  wide = Cast <to=6> (bytes)
  last = Constant <value_ints=[-1]> ()
  column = Unsqueeze (wide, last)
  shifted = Div (column, places)
  digits = Mod (shifted, base)
  padded = Reshape (digits, last)
  first = Constant <value_ints=[0]> ()
  product = ReduceProd <keepdims=0> (shape)
  count = Reshape (product, last)
  line = Slice (padded, first, count)
  values = Gather (levels, line)
  shaped = Reshape (values, shape)
  weights = Mul (shaped, scale)
}"""

_SPARSE = """
Sparse (bitmap, places, values, shape) => (weights) {
  wide = Cast <to=6> (bitmap)
  last = Constant <value_ints=[-1]> ()
  column = Unsqueeze (wide, last)
  shifted = Div (column, places)
  two = Constant <value = int32 {2}> ()
  bits = Mod (shifted, two)
  padded = Reshape (bits, last)
  first = Constant <value_ints=[0]> ()
  product = ReduceProd <keepdims=0> (shape)
  count = Reshape (product, last)
  line = Slice (padded, first, count)
  axis = Constant <value_int=0> ()
  place = CumSum <exclusive=1> (line, axis)
  size = Size (values)
  one = Constant <value_int=1> ()
  end = Sub (size, one)
  other = Cast <to=6> (end)
  is_value = Cast <to=9> (line)
  index = Where (is_value, place, other)
  found = Gather (values, index)
  weights = Reshape (found, shape)
}"""

_HALF = """
Half (values) => (weights) {
  weights = Cast <to=1> (values)
}"""


def decoders() -> dict[str, FunctionProto]:
    """Return the decoding functions, by name."""
    header = f'<domain: "{DOMAIN}", opset_import: ["": {OPSET}]>'
    functions = [parser.parse_function(header + body) for body in (_CODED, _SPARSE, _HALF)]
    return {function.name: function for function in functions}


def format_version(model: onnx.ModelProto) -> int | None:
    """Return the version of the model's packed format; None for a plain model."""
    versions = [entry.version for entry in model.opset_import if entry.domain == DOMAIN]
    return versions[0] if versions else None
