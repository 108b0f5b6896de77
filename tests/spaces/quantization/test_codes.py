"""Coders of weights, against cases worked by hand with NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces.quantization.weight_compression.codes import (
    Coder,
    binary_codes,
    four_bit_codes,
    kmeans_codes,
    ternary_codes,
)

CODERS = {
    "four_bit": four_bit_codes,
    "ternary": ternary_codes,
    "binary": binary_codes,
    "kmeans": lambda weights: kmeans_codes(weights, levels=6),
}
SCALED = {name: coder for name, coder in CODERS.items() if name != "kmeans"}


def _weights(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_binary_weights_are_signs_at_the_mean_magnitude() -> None:
    codes = binary_codes(torch.tensor([[0.5, -1.5, 2.0, 0.0]]))
    assert codes.indices.tolist() == [[1, 0, 1, 1]]
    assert codes.values().tolist() == [[1.0, -1.0, 1.0, 1.0]]


def test_ternary_weights_are_zero_up_to_seven_tenths_of_the_mean_magnitude() -> None:
    # The mean magnitude is 1, so 0.6 and -0.4 fall away; those left have a mean of 1.5.
    codes = ternary_codes(torch.tensor([[0.6, -0.4, 2.0, -1.0]]))
    assert codes.indices.tolist() == [[1, 1, 2, 0]]
    assert codes.values().tolist() == [[0.0, 0.0, 1.5, -1.5]]


def test_four_bit_weights_on_the_grid_are_kept_as_they_are() -> None:
    weights = torch.tensor([[-7.0, -3.0, 0.0, 1.0, 7.0], [1.75, 0.25, -0.5, 0.0, 1.0]])
    codes = four_bit_codes(weights)
    assert torch.equal(codes.values(), weights)
    assert codes.scale.flatten().tolist() == [1.0, 0.25]


def test_four_bit_scales_err_no_more_than_any_that_was_tried() -> None:
    weights = _weights(5, 64).numpy()
    found = np.square(four_bit_codes(torch.from_numpy(weights)).values().numpy() - weights)
    for clip in np.linspace(0.5, 1, 21):
        scale = clip * np.abs(weights).max(axis=1, keepdims=True) / 7
        error = np.square(np.clip(np.round(weights / scale), -7, 7) * scale - weights)
        assert (found.sum(axis=1) <= error.sum(axis=1) + 1e-5).all()


def test_kmeans_ends_at_the_means_of_its_clusters() -> None:
    weights = torch.tensor([[0.0, 0.2, 2.0, 2.4, 5.0, 5.4]])
    codes = kmeans_codes(weights, levels=3)
    assert codes.indices.tolist() == [[0, 0, 1, 1, 2, 2]]
    assert codes.levels.tolist() == pytest.approx([0.1, 2.2, 5.2])


def test_kmeans_is_a_fixed_point_of_lloyds_algorithm() -> None:
    weights = _weights(8, 50)
    codes = kmeans_codes(weights, levels=4)
    line, levels = weights.numpy().ravel(), codes.levels.numpy()
    nearest = np.abs(line[:, None] - levels).argmin(axis=1)
    assert np.array_equal(nearest, codes.indices.numpy().ravel())
    means = [line[nearest == level].mean() for level in range(4)]
    assert np.allclose(means, levels, atol=0.02)


def test_more_clusters_err_less() -> None:
    weights = _weights(8, 200)
    errors = [
        float((kmeans_codes(weights, levels=levels).values() - weights).square().mean())
        for levels in (4, 6, 16, 256)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("name", CODERS)
def test_indices_are_of_levels(name: str) -> None:
    codes = CODERS[name](_weights(6, 40))
    assert codes.indices.min() >= 0
    assert codes.indices.max() < len(codes.levels)
    assert codes.indices.shape == (6, 40)


@pytest.mark.parametrize("name", CODERS)
def test_channels_of_zeros_stay_finite(name: str) -> None:
    weights = _weights(3, 20)
    weights[1] = 0
    values = CODERS[name](weights).values()
    assert values.isfinite().all()
    assert values[1].abs().max() < 0.2


@pytest.mark.parametrize("name", SCALED)
def test_coding_commutes_with_what_scales_a_channel_later(name: str) -> None:
    # So that training may round before a normalisation is folded into the weights, and the file
    # after. Powers of two scale exactly.
    coder: Coder = SCALED[name]
    weights, scales = _weights(4, 40), torch.tensor([[0.5], [-2.0], [4.0], [-0.25]])
    assert torch.equal(coder(weights * scales).values(), coder(weights).values() * scales)
