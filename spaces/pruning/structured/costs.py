"""The cost of each channel of a network: weights, or multiply-accumulate operations."""

import torch
import torch_pruning
from torch import Tensor, nn

from spaces.counting import count_macs_by_layer, count_parameters
from spaces.pruning.structured.groups import members

PARAMETERS, MACS = "parameters", "macs"


class ChannelCosts:
    """The cost of a network and of its channels, while they are pruned.

    Args:
        network: the network; later cuts of its channels are seen.
        example: one input, [1, channels, height, width].
        unit: `parameters`, or `macs` for the multiply-accumulate operations of layers for one
            image. Operations outside of layers, as in attentions, are not counted.
    """

    def __init__(self, network: nn.Module, example: Tensor, *, unit: str) -> None:
        self._network = network
        self._uses = None if unit == PARAMETERS else _uses(network, example)

    def total(self) -> float:
        """Return the cost of the whole network."""
        if self._uses is None:
            return count_parameters(self._network)
        return sum(_weight(layer).numel() * uses for layer, uses in self._uses.items())

    def of(self, group: torch_pruning.Group) -> Tensor:
        """Return what the removal of each channel of a group saves, [channels]."""
        costs = torch.zeros(len(group[0].idxs))
        for part in members(group):
            saved = torch.full(part.channels.shape, self._each(part.layer, part.dimension))
            costs.index_add_(0, part.channels, saved)
        return costs

    def _each(self, layer: nn.Module, dimension: int) -> float:
        """Return the cost of one channel along a dimension of a layer's weight."""
        weight = _weight(layer)
        weights = weight.numel() / weight.shape[dimension]
        if self._uses is not None:
            return weights * self._uses.get(layer, 0.0)
        has_bias = dimension == 0 and getattr(layer, "bias", None) is not None
        return weights + has_bias


def _uses(network: nn.Module, example: Tensor) -> dict[nn.Module, float]:
    """Return how often each layer uses each of its weights for one image."""
    by_layer, _ = count_macs_by_layer(network, example)
    layers = {name: network.get_submodule(name) for name in by_layer}
    return {
        layer: by_layer[name] / _weight(layer).numel()
        for name, layer in layers.items()
        if isinstance(getattr(layer, "weight", None), Tensor)
    }


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight
