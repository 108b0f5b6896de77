"""The shape law: a student's shapes for any share of cut channels, learned from one cut."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from timm.layers import Attention
from torch import nn

from search.objectives.limits import MACS, PARAMETERS
from spaces.counting import count_macs_by_layer


@dataclass(frozen=True)
class ShapeCounts:
    """The counts of a network's numbers and operations.

    Attributes:
        weights: the numbers in tensors of two dimensions or more, which quantization shrinks.
        vectors: the numbers in tensors of one dimension, such as biases, which it does not shrink.
        macs: multiply-accumulates for one image; the products without a weight, as in attention,
            are approximate.
    """

    weights: int
    vectors: int
    macs: float

    @property
    def parameters(self) -> int:
        """The number of all weights and vectors."""
        return self.weights + self.vectors

    @property
    def cost(self) -> dict[str, float]:
        """Parameters and MACs, by their stored names."""
        return {PARAMETERS.cost: self.parameters, MACS.cost: round(self.macs)}


@dataclass(frozen=True)
class ShapeLaw:
    """The shapes of a student at any uniform ratio.

    A dimension of n channels shrinks to int(n * (1 - ratio)). Other dimensions, such as classes and
    pixels, do not shrink. One cut network shows which dimensions shrink. Concatenated channels and
    attention heads may follow another law, so the caller compares this law's counts with those of
    other cut networks.

    Attributes:
        dimensions: the shape of each tensor, padded with ones, [tensors, longest shape].
        cut: which of the dimensions shrink, [tensors, longest shape].
        vectors: which tensors have one dimension, [tensors].
        macs: the MACs of the layer whose weight the tensor is, else 0, [tensors].
        macs_elsewhere: the MACs outside of layers with a weight, such as attention's products.
        ratio: the ratio of the cut from which the law was learned.
        regular: whether that cut followed the law in every dimension, and other cuts are certain to
            follow it. In a layer with groups or heads, each group is cut by itself and rounded by
            itself; a cut by half can hide that.
    """

    dimensions: np.ndarray
    cut: np.ndarray
    vectors: np.ndarray
    macs: np.ndarray
    macs_elsewhere: float
    ratio: float
    regular: bool

    @classmethod
    def learn(
        cls, network: nn.Module, pruned: nn.Module, ratio: float, example: torch.Tensor
    ) -> Self:
        """Learn the law that turned `network` into `pruned`.

        Args:
            network: the uncut network.
            pruned: the network cut by `ratio`, with the same names of parameters.
            ratio: the share of channels that was cut, above 0.
            example: one input, [1, channels, height, width].
        """
        shapes = [tuple(parameter.shape) for parameter in network.parameters()]
        dimensions = _padded(shapes)
        found = _padded([tuple(parameter.shape) for parameter in pruned.parameters()])
        cut = found != dimensions
        macs, elsewhere = _layer_macs(network, example)
        return cls(
            dimensions=dimensions,
            cut=cut,
            vectors=np.array([len(shape) < 2 for shape in shapes]),
            macs=macs,
            macs_elsewhere=elsewhere,
            ratio=ratio,
            regular=not _cuts_by_groups(network)
            and bool((found == _remaining(dimensions, cut, ratio)).all()),
        )

    def count(self, ratio: float) -> ShapeCounts:
        """Return the student's counts with the share `ratio` of its channels cut."""
        numbers = _remaining(self.dimensions, self.cut, ratio).prod(axis=1)
        vectors = int(numbers[self.vectors].sum())
        shrunk = numbers / self.dimensions.prod(axis=1)
        return ShapeCounts(
            weights=int(numbers.sum()) - vectors,
            vectors=vectors,
            macs=float(self.macs @ shrunk) + self.macs_elsewhere * (1 - ratio),
        )


def _cuts_by_groups(network: nn.Module) -> bool:
    """Return whether a layer has groups or heads, each of which is cut by itself."""
    return any(
        isinstance(module, Attention)
        or (isinstance(module, nn.Conv2d) and 1 < module.groups < module.out_channels)
        or (isinstance(module, nn.GroupNorm) and module.num_groups > 1)
        for module in network.modules()
    )


def _remaining(dimensions: np.ndarray, cut: np.ndarray, ratio: float) -> np.ndarray:
    return np.where(cut, (dimensions * (1 - ratio)).astype(np.int64), dimensions)


def _padded(shapes: list[tuple[int, ...]]) -> np.ndarray:
    longest = max(len(shape) for shape in shapes)
    return np.array([(*shape, *[1] * (longest - len(shape))) for shape in shapes], np.int64)


def _layer_macs(network: nn.Module, example: torch.Tensor) -> tuple[np.ndarray, float]:
    """Return the MACs of each layer, at the place of its weight, and the MACs outside of layers."""
    by_layer, elsewhere = count_macs_by_layer(network, example)
    macs = [
        float(by_layer.pop(name.removesuffix(".weight"), 0)) if name.endswith(".weight") else 0.0
        for name, _ in network.named_parameters()
    ]
    return np.array(macs), float(elsewhere + sum(by_layer.values()))
