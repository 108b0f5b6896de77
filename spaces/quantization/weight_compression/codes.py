"""Weights as indices into a few levels: 4 bits, ternary, binary, k-means.

All except k-means give each output channel a scale of its own. So they commute with a later
scaling of channels, such as a normalisation that is folded into the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

# It keeps an all-zero channel from being divided by zero.
_LEAST_SCALE = 1e-12
_CLIPS = 21
_KMEANS_STEPS = 30


@dataclass(frozen=True)
class Codes:
    """Weights [channels, numbers] as `levels[indices] * scale`.

    Attributes:
        indices: [channels, numbers], int64, each below the number of levels.
        levels: [levels], float32.
        scale: [channels, 1], or [1, 1] for all of them, float32.
    """

    indices: Tensor
    levels: Tensor
    scale: Tensor

    def values(self) -> Tensor:
        """Return the weights that the codes represent, [channels, numbers]."""
        return self.levels[self.indices] * self.scale


# Maps weights [channels, numbers] to their codes.
Coder: TypeAlias = Callable[[Tensor], Codes]


def four_bit_codes(weights: Tensor) -> Codes:
    """Return codes from -7 to 7; each channel has the tried scale with the least error.

    A scale from the largest weight alone is bad with so few levels: clipping it helps the others.
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

    Weights beyond 0.7 of their channel's mean magnitude are not zero; their mean is the scale.

    Source: Li et al. 2016 (ternary weight networks), arXiv:1605.04711, equations 5 and 6.
    """
    magnitude = weights.abs()
    large = magnitude > 0.7 * magnitude.mean(dim=1, keepdim=True)
    total = (magnitude * large).sum(dim=1, keepdim=True)
    scale = (total / large.sum(dim=1, keepdim=True).clamp(min=1)).clamp(min=_LEAST_SCALE)
    indices = (weights.sign() * large).long() + 1
    return Codes(indices, torch.tensor([-1.0, 0.0, 1.0], device=weights.device), scale)


def binary_codes(weights: Tensor) -> Codes:
    """Return codes of -1 and 1 times each channel's mean magnitude.

    Source: Rastegari et al. 2016 (binary-weight-networks), arXiv:1603.05279, section 3.1.
    """
    scale = weights.abs().mean(dim=1, keepdim=True).clamp(min=_LEAST_SCALE)
    levels = torch.tensor([-1.0, 1.0], device=weights.device)
    return Codes((weights >= 0).long(), levels, scale)


def kmeans_codes(weights: Tensor, *, levels: int) -> Codes:
    """Return codes with the tensor's own levels, the means of Lloyd's clusters.

    Lloyd's algorithm starts from even steps over the range, so that the few large weights keep
    levels.

    Source: Han et al. 2016 (deep compression), arXiv:1510.00149, section 3.
    """
    line = weights.flatten().sort().values
    centres = torch.linspace(float(line[0]), float(line[-1]), levels, device=line.device)
    # In sorted order a cluster is a run, whose sum is a difference of cumulative sums.
    running = torch.cat([line.new_zeros(1).double(), line.double().cumsum(0)])
    for _ in range(_KMEANS_STEPS):
        ends = torch.searchsorted(line, (centres[1:] + centres[:-1]) / 2, right=True)
        bounds = torch.cat([ends.new_zeros(1), ends, ends.new_full((1,), len(line))])
        counts, sums = bounds.diff(), running[bounds].diff()
        # A cluster without members stays where it is.
        moved = torch.where(counts > 0, (sums / counts.clamp(min=1)).to(line.dtype), centres)
        if torch.equal(moved, centres):
            break
        centres = moved.sort().values
    indices = torch.bucketize(weights.contiguous(), (centres[1:] + centres[:-1]) / 2)
    return Codes(indices, centres, torch.ones(1, 1, device=weights.device))
