"""Assignment of weights to groups of channels along a network's dependency graph."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.pruner import function

from spaces.pruning.structured.classifier import classifier_layers
from spaces.pruning.structured.graph import dependency_graph, traced
from spaces.pruning.structured.protection import protected_layers

_OUTPUTS = (
    function.prune_conv_out_channels,
    function.prune_depthwise_conv_out_channels,
    function.prune_linear_out_channels,
    function.prune_batchnorm_out_channels,
    function.prune_layernorm_out_channels,
)
_INPUTS = (function.prune_conv_in_channels, function.prune_linear_in_channels)


@dataclass(frozen=True)
class Member:
    """The part of one weight that belongs to the channels of a group.

    Attributes:
        layer: the weight's layer.
        dimension: the dimension of the weight that holds the channels.
        indices: indices along this dimension, [members], int64.
        channels: the group's channel for each index, [members], int64.
    """

    layer: nn.Module
    dimension: int
    indices: Tensor
    channels: Tensor


@dataclass(frozen=True)
class Group:
    """Channels of several layers that must be pruned together.

    Attributes:
        size: number of channels.
        members: the parts of weights that belong to these channels.
    """

    size: int
    members: tuple[Member, ...]

    def square_norms(self) -> Tensor:
        """Return the sum of the squares of each channel's weights, [size], with a gradient."""
        sums = [self._sums(member) for member in self.members]
        return torch.stack(sums).sum(dim=0)

    def _sums(self, member: Member) -> Tensor:
        weight = member.layer.weight
        assert isinstance(weight, Tensor)
        others = [axis for axis in range(weight.dim()) if axis != member.dimension]
        squares = weight.square().sum(dim=others) if others else weight.square()
        device = weight.device
        parts = squares[member.indices.to(device)]
        return squares.new_zeros(self.size).index_add(0, member.channels.to(device), parts)


def find_groups(network: nn.Module, example: Tensor) -> list[Group]:
    """Return the groups of channels that can be pruned, without the classes."""
    with traced(network):
        kept = [network.get_submodule(name) for name in protected_layers(network, example)]
        graph = dependency_graph(network, example)
        classes = classifier_layers(network, example)
        found = [
            Group(len(group[0].idxs), tuple(members(group)))
            for group in graph.get_all_groups(ignored_layers=[*kept, *classes])
        ]
    return [group for group in found if group.members]


def members(group: torch_pruning.Group) -> Iterator[Member]:
    """Yield the parts of weights that belong to the channels of torch-pruning's group."""
    for item in group:
        layer, handler = item.dep.target.module, item.dep.handler
        if getattr(layer, "weight", None) is None:
            continue
        if handler in _OUTPUTS:
            dimension = 0
        elif handler in _INPUTS and getattr(layer, "groups", 1) == 1:
            dimension = 1
        else:
            continue
        # An index without a channel of the group's root belongs to no channel.
        pairs = [
            (index, channel)
            for index, channel in zip(item.idxs, item.root_idxs, strict=True)
            if channel is not None
        ]
        indices, channels = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).unbind(dim=1)
        yield Member(layer, dimension, indices, channels)
