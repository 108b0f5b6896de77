"""Ranges with the least squared error, on tails that are heavy or not there."""

import numpy as np
import pytest

from spaces.quantization.ptq.ranges import least_error_range, least_error_ranges
from tests.spaces.quantization.ptq_models import model_of, node


def _error(values: np.ndarray, low: float, high: float) -> float:
    """The mean squared error of 256 levels over the range."""
    scale = (high - low) / 255
    zero = round(-low / scale)
    integers = (np.rint(values / scale) + zero).clip(0, 255)
    return float(np.mean(((integers - zero) * scale - values) ** 2))


def _range(values: np.ndarray) -> tuple[float, float]:
    bound = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return least_error_range(np.histogram(values, 2048, bound)[0], bound)


@pytest.mark.parametrize("degrees", [2, 3, 5])
def test_heavy_tails_are_clipped_with_less_error(degrees: int) -> None:
    values = np.random.default_rng(degrees).standard_t(degrees, 100_000)
    low, high = _range(values)
    assert low > values.min()
    assert high < values.max()
    assert _error(values, low, high) < 0.9 * _error(values, values.min(), values.max())


def test_values_without_tails_keep_their_range() -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 100_000)
    assert _range(values) == pytest.approx((values.min(), values.max()), rel=0.02)


def test_one_tail_is_clipped_alone() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.uniform(-1, 1, 100_000), [100.0]])
    low, high = _range(values)
    assert low == pytest.approx(-1, abs=0.3)
    # Least of (100 - h)² / 100,000 for the tail and h² / (12 · 255²) for the others.
    assert high == pytest.approx(88, rel=0.1)


def test_positive_values_have_a_range_from_zero() -> None:
    values = np.abs(np.random.default_rng(0).standard_t(3, 100_000))
    assert _range(values)[0] == 0


def test_every_value_of_a_network_has_a_range() -> None:
    model = model_of([node("Relu", "input", "h"), node("Neg", "h", "logits")], {})
    images = np.random.default_rng(0).uniform(-2, 4, (40, 3, 6, 6)).astype(np.float32)
    model.graph.value_info.add(name="h").type.tensor_type.elem_type = 1
    model.graph.output[0].type.tensor_type.elem_type = 1
    found = least_error_ranges(model, images)
    assert found["input"] == pytest.approx((-2, 4), abs=0.1)
    assert found["h"] == pytest.approx((0, 4), abs=0.1)
    assert found["logits"] == pytest.approx((-4, 0), abs=0.1)


def test_only_the_values_of_some_operators_are_measured() -> None:
    model = model_of([node("Relu", "input", "h"), node("Neg", "h", "logits")], {})
    model.graph.output[0].type.tensor_type.elem_type = 1
    images = np.ones((2, 3, 6, 6), np.float32)
    assert set(least_error_ranges(model, images, operators=["Relu"])) == {"input"}


def test_a_value_that_is_always_zero_has_no_range() -> None:
    model = model_of([node("Relu", "input", "logits")], {})
    model.graph.output[0].type.tensor_type.elem_type = 1
    assert set(least_error_ranges(model, -np.ones((2, 3, 6, 6), np.float32))) == {"input"}
