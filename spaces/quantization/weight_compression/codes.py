"""Codes: weights as indices into a few levels, in 4 bits, ternary, binary or by k-means.

All codes except k-means have a scale for each output channel. So the coding commutes with a later
scaling of channels, such as the folding of a normalisation into the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

# It prevents a division by zero for a channel of zeros.
_LEAST_SCALE = 1e-12
_CLIPS = 21
_KMEANS_STEPS = 30


@dataclass(frozen=True)
class Codes:
    """Weights, [channels, weights], as `levels[indices] * scale`.

    Attributes:
        indices: [channels, weights], int64, from 0 to below the number of levels.
        levels: [levels], float32.
        scale: [channels, 1], or [1, 1] for all channels together, float32.
    """

    indices: Tensor
    levels: Tensor
    scale: Tensor

    def values(self) -> Tensor:
        """Return the weights that the codes represent, [channels, weights]."""
        return self.levels[self.indices] * self.scale


# Maps weights, [channels, weights], to their codes.
Coder: TypeAlias = Callable[[Tensor], Codes]


def four_bit_codes(weights: Tensor) -> Codes:
    """Return codes with levels from -7 to 7, and for each channel the scale with the least error.

    The function tries scales from the largest weight down to half of it. A smaller scale clips the
    largest weights, but reduces the error of the other weights.
    """
    levels = torch.arange(-7.0, 8.0, device=weights.device)
    largest = weights.abs().amax(dim=1, keepdim=True).clamp(min=_LEAST_SCALE)
    best = largest / 7
    least = torch.full_like(best, torch.inf)
    for clip in torch.linspace(1.0, 0.5, _CLIPS).tolist():
        scale = clip * largest / 7
        rounded = (weights / scale).round().clamp(-7, 7)
        error = (rounded * scale - weights).square().sum(dim=1, keepdim=True)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    indices = (weights / best).round().clamp(-7, 7).long() + 7
    return Codes(indices, levels, best)


def ternary_codes(weights: Tensor) -> Codes:
    """Return codes of -1, 0 and 1 times a scale for each channel.

    A weight is not zero if its magnitude exceeds 0.7 times the mean magnitude of its channel. The
    scale is the mean magnitude of these weights.

    Source: Li et al. 2016 (ternary weight networks), arXiv:1605.04711, equations 5 and 6.
    """
    magnitude = weights.abs()
    large = magnitude > 0.7 * magnitude.mean(dim=1, keepdim=True)
    total = (magnitude * large).sum(dim=1, keepdim=True)
    scale = (total / large.sum(dim=1, keepdim=True).clamp(min=1)).clamp(min=_LEAST_SCALE)
    indices = (weights.sign() * large).long() + 1
    return Codes(indices, torch.tensor([-1.0, 0.0, 1.0], device=weights.device), scale)


def binary_codes(weights: Tensor) -> Codes:
    """Return codes of -1 and 1 times the mean magnitude of each channel.

    Source: Rastegari et al. 2016 (binary-weight-networks), arXiv:1603.05279, section 3.1.
    """
    scale = weights.abs().mean(dim=1, keepdim=True).clamp(min=_LEAST_SCALE)
    levels = torch.tensor([-1.0, 1.0], device=weights.device)
    return Codes((weights >= 0).long(), levels, scale)


def kmeans_codes(weights: Tensor, *, levels: int) -> Codes:
    """Return codes whose levels are the means of clusters of the tensor's weights.

    Lloyd's algorithm finds the clusters. It starts with equal steps over the range, so that the few
    large weights also have levels.

    Source: Han et al. 2016 (deep compression), arXiv:1510.00149, section 3.
    """
    ordered = weights.flatten().sort().values
    centres = torch.linspace(float(ordered[0]), float(ordered[-1]), levels, device=ordered.device)
    # A cluster is a contiguous part of the sorted weights: a difference of cumulative sums.
    cumulative = torch.cat([ordered.new_zeros(1).double(), ordered.double().cumsum(0)])
    for _ in range(_KMEANS_STEPS):
        ends = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, right=True)
        bounds = torch.cat([ends.new_zeros(1), ends, ends.new_full((1,), len(ordered))])
        counts, sums = bounds.diff(), cumulative[bounds].diff()
        # The centre of an empty cluster does not change.
        moved = torch.where(counts > 0, (sums / counts.clamp(min=1)).to(ordered.dtype), centres)
        if torch.equal(moved, centres):
            break
        centres = moved.sort().values
    indices = torch.bucketize(weights.contiguous(), (centres[1:] + centres[:-1]) / 2)
    return Codes(indices, centres, torch.ones(1, 1, device=weights.device))
