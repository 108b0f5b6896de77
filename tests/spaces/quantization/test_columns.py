"""A layer as a matrix product gives what ONNX Runtime computes."""

import numpy as np
import pytest
import torch
from onnx import ModelProto

from spaces.quantization.ptq.columns import ProductLayer
from spaces.quantization.ptq.graph import layers_with_own_weights
from tests.spaces.quantization.ptq_models import constant, model_of, node, normal, run

IMAGES = normal(2, 4, 7, 7, seed=3)


def _conv(weights: np.ndarray, **attributes: object) -> ModelProto:
    return model_of(
        [node("Conv", "input w", "logits", **attributes)], {"w": weights}, shape=("batch", 4, 7, 7)
    )


def _outputs(model: ModelProto, values: np.ndarray, *, most: int = 10_000) -> np.ndarray:
    """The products of rows and columns, [channels, columns]."""
    (layer,) = layers_with_own_weights(model)
    weights = constant(model, layer.name)
    product = ProductLayer(layer, weights.shape)
    columns = product.columns(values, most=most, draw=torch.Generator().manual_seed(0))
    rows = product.rows(weights)
    assert np.array_equal(product.weights(rows.numpy()), weights)
    grouped = rows.reshape(len(columns), -1, rows.shape[1])
    found: np.ndarray = (grouped @ columns.transpose(1, 2)).flatten(0, 1).numpy()
    return found


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((5, 4, 3, 3), {}),
        ((5, 4, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((5, 4, 2, 3), {"dilations": [2, 3]}),
        ((4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
        ((6, 2, 1, 1), {"group": 2}),
    ],
)
def test_a_convolution_is_the_product_of_its_rows_and_columns(
    shape: tuple[int, ...], attributes: dict[str, object]
) -> None:
    model = _conv(normal(*shape), **attributes)
    expected = np.moveaxis(run(model, IMAGES), 1, 0).reshape(shape[0], -1)
    assert _outputs(model, IMAGES) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("operator", "attributes"), [("MatMul", {}), ("Gemm", {}),
                                                      ("Gemm", {"transB": 1})])  # fmt: skip
def test_a_matrix_product_is_the_product_of_its_rows_and_columns(
    operator: str, attributes: dict[str, object]
) -> None:
    shape = (5, 4) if attributes else (4, 5)
    model = model_of(
        [node(operator, "input w", "logits", **attributes)], {"w": normal(*shape)}, shape=("n", 4)
    )
    values = normal(6, 4, seed=1)
    assert _outputs(model, values) == pytest.approx(run(model, values).T, abs=1e-5)


def test_a_part_of_the_columns_is_drawn_from_all_places() -> None:
    model = _conv(normal(5, 4, 3, 3))
    every, some = _outputs(model, IMAGES), _outputs(model, IMAGES, most=20)
    assert some.shape == (5, 20)
    found = [np.isclose(every, column[:, None]).all(axis=0).argmax() for column in some.T]
    assert found == sorted(set(found))
    assert found[-1] > 25  # the first image has 25 places


@pytest.mark.parametrize(
    ("operator", "shape", "attributes"),
    [("Conv", (5, 4, 3, 3), {"auto_pad": "SAME_UPPER"}), ("Gemm", (4, 5), {"alpha": 0.5})],
)
def test_unusual_layers_are_left_out(
    operator: str, shape: tuple[int, ...], attributes: dict[str, object]
) -> None:
    model = model_of([node(operator, "input w", "logits", **attributes)], {"w": normal(*shape)})
    assert layers_with_own_weights(model) == []
