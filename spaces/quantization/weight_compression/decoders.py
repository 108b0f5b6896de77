"""The packed format, version 1: an ONNX file whose weights are computed from fewer bytes.

A packed file is an ordinary ONNX model of standard operators. Where a plain file holds a tensor
of weights, it holds the encoded tensor and a call of one of the functions below, which decodes
it. The file contains the functions, under the domain `retort.packing`, whose version is the
version of the format. Any ONNX runtime loads such a file without changes: ONNX Runtime folds
constants at loading, so that the weights are then the same as if they had been stored plainly.
Decoding costs time at loading and none at predicting.

Such a file is as safe to read as any ONNX file: nothing in it is executed but tensor operators,
which check shapes and indices.

The functions, with places = base^0, base^1, … of one byte's digits:

    Coded(bytes, places, base, levels, scale, shape)
        Each byte holds several digits, lowest first; a digit is an index into `levels`. Digits
        beyond the shape's product are padding. The result is levels[digits] * scale.
    Sparse(bitmap, places, values, shape)
        Each byte holds eight bits, lowest first: whether the element is one of `values`, which
        come in order. The last of `values` is that of all other elements.
    Half(values)
        Float16, widened.
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
    """Return the functions, by name."""
    header = f'<domain: "{DOMAIN}", opset_import: ["": {OPSET}]>'
    functions = [parser.parse_function(header + body) for body in (_CODED, _SPARSE, _HALF)]
    return {function.name: function for function in functions}


def format_version(model: onnx.ModelProto) -> int | None:
    """Return the version of the packed format that the model uses; None for a plain one."""
    versions = [entry.version for entry in model.opset_import if entry.domain == DOMAIN]
    return versions[0] if versions else None
