"""Adapted rounding: less error of the output, from integers next to the weights."""

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces.quantization.ptq.adaround import OutputError, adapted_integers


def _case(groups: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of 8 channels, and correlated inputs of a float and of a quantized network."""
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(groups, 12, 24, generator=draw)
    original = torch.relu(torch.randn(groups, 500, 12, generator=draw) @ mixed)
    served = original + 0.05 * torch.randn(original.shape, generator=draw)
    return torch.randn(8, 24, generator=draw), original, served


def _error(weights: Tensor, quantized: Tensor, original: Tensor, served: Tensor) -> float:
    rows, own = (one.reshape(len(original), -1, 24) for one in (weights, quantized))
    difference = own @ served.transpose(1, 2) - rows @ original.transpose(1, 2)
    return difference.square().mean().item()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("largest", [7, 64])
def test_the_error_of_the_output_falls_below_that_of_the_nearest(groups: int, largest: int) -> None:
    weights, original, served = _case(groups)
    scale = weights.abs().amax(dim=1, keepdim=True) / largest
    error = OutputError.of(weights, original, served)
    found = adapted_integers(weights, scale, (-largest, largest), error)
    nearest = (weights / scale).round()
    assert (found - weights / scale).abs().max() < 1.0001
    assert _error(weights, found * scale, original, served) < 0.9 * _error(
        weights, nearest * scale, original, served
    )


def test_two_weights_of_equal_inputs_are_rounded_to_their_sum() -> None:
    # Both weights are 0.4 steps: rounded to 0 their sum is 0, but it should be 0.8.
    weights, scale = torch.tensor([[0.4, 0.4, 7.0]]), torch.ones(1, 1)
    columns = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
    columns = torch.cat([columns, columns, torch.zeros_like(columns)], dim=2)
    error = OutputError.of(weights, columns, columns)
    found = adapted_integers(weights, scale, (-7, 7), error)
    assert found[0, :2].sum() == 1
    assert found[0, 2] == 7


def test_equal_columns_leave_no_error_for_weights_on_the_grid() -> None:
    weights = torch.tensor([[3.0, -2.0, 0.0, 7.0]])
    columns = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0))
    error = OutputError.of(weights, columns, columns)
    found = adapted_integers(weights, torch.ones(1, 1), (-7, 7), error)
    assert torch.equal(found, weights)


def test_zeros_and_bounds_are_kept() -> None:
    weights, original, served = _case()
    weights[:, ::3] = 0
    scale = weights.abs().amax(dim=1, keepdim=True) / 10  # 7 levels do not reach the largest
    error = OutputError.of(weights, original, served)
    found = adapted_integers(weights, scale, (-7, 7), error)
    assert not found[:, ::3].any()
    assert found.abs().max() == 7


def test_the_error_is_that_of_the_columns() -> None:
    weights, original, served = _case(2)
    error = OutputError.of(weights, original, served)
    first, second = (weights * share for share in (0.9, 1.1))
    difference = (error.of_channels(first) - error.of_channels(second)).mean().item()
    expected = _error(weights, first, original, served) - _error(weights, second, original, served)
    assert difference == pytest.approx(expected, rel=0.05)
    assert np.isfinite(difference)
