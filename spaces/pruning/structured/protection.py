"""Layers that keep all channels, because the dependency graph does not describe their couplings.

torch-pruning reads the autograd graph. This graph does not show the axis of the channels when a
network reshapes, splits, shuffles or slices tensors. So this module tries the pruning of groups of
channels on copies of the network. It protects two kinds of groups:

- groups with indices outside their layers, and groups without a score. Examples: attentions with
  layers that mix the heads, and grouped convolutions that widen a residual.
- groups whose pruning makes the network fail. Examples: the queries, keys and values of most
  attentions (but not of timm's Attention, which the pruner supports), and tensors that a mixer
  splits at a fixed channel.

Repeated blocks have the same structure, so the result for a layer also applies to the layers at the
same position in other blocks. The trial pruning depends only on the numbers of channels. So the
result depends only on the architecture, not on its weights, the pruning method or the ratio.
"""

import copy
import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.dependency.dependency import Dependency

from spaces.pruning.structured.classifier import classifier_layers
from spaces.pruning.structured.graph import (
    as_value_errors,
    build_pruner,
    dependency_graph,
    run,
    settle,
    traced,
)

# Share of channels to prune in trials. It is not 0.5, so that numbers of channels rarely stay even.
_RATIO = 0.4
# Largest share of the parameters after a trial. If all channels can be pruned, it is about 0.4.
_MAX_SHARE_LEFT = 0.9
_MAX_TRIALS = 40
# Largest number of cached architectures; most of them are students of one search.
_CACHE_SIZE = 256
_cache: OrderedDict[str, list[str] | ValueError] = OrderedDict()


def protected_layers(network: nn.Module, example: Tensor) -> list[str]:
    """Return the names of the layers that must keep all channels.

    The result is cached for each architecture.

    Args:
        network: not changed.
        example: one input, [1, channels, height, width].

    Raises:
        ValueError: pruning could remove only few parameters, because too many layers are protected.
    """
    key = _architecture(network, example)
    if key not in _cache:
        try:
            _cache[key] = _find_protected_layers(network, example)
        except ValueError as error:
            _cache[key] = ValueError(str(error))
    _cache.move_to_end(key)
    if len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    answer = _cache[key]
    if isinstance(answer, ValueError):
        raise ValueError(str(answer))
    return list(answer)


def _architecture(network: nn.Module, example: Tensor) -> str:
    """Return a key of the architecture: its modules, their settings and all shapes."""
    modules = [
        (name, type(module).__qualname__, _settings(module))
        for name, module in network.named_modules()
    ]
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    return repr((modules, shapes, tuple(example.shape)))


def _settings(module: nn.Module) -> list[tuple[str, object]]:
    """Return a module's settings, such as the number of heads, without tensors."""
    return sorted(
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str | tuple) and name != "training"
    )


def _find_protected_layers(network: nn.Module, example: Tensor) -> list[str]:
    with as_value_errors(network):
        unprunable, roots = _roots(copy.deepcopy(network), example)
        trials = _Trials(network, example, unprunable, roots)
        prunable = trials.extended([], sorted(set(map(_position, roots))))
        left = trials.share_left(prunable)
    if left > _MAX_SHARE_LEFT:
        raise ValueError(
            f"pruning must be able to remove {1 - _MAX_SHARE_LEFT:.0%} of the parameters of this "
            f"{type(network).__name__}, but {left:.0%} remain after the pruning of {_RATIO:.0%} of "
            "the channels in all layers that allow it: choose another student or no channel pruning"
        )
    return trials.protected(prunable)


class _Trials:
    """Trial pruning of copies of a network, at selected positions.

    A position is a layer's name with `*` in place of block numbers.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, unprunable: Sequence[str], roots: Sequence[str]
    ) -> None:
        self._network, self._example = network, example
        self._unprunable, self._roots = unprunable, roots
        self._count = 0

    def protected(self, positions: Sequence[str]) -> list[str]:
        """Return the layers to protect if only the layers at these positions are pruned."""
        return [
            *self._unprunable,
            *(root for root in self._roots if _position(root) not in positions),
        ]

    def extended(self, prunable: list[str], positions: list[str]) -> list[str]:
        """Return `prunable` and those of `positions` that can be pruned together with it."""
        if not positions or self._runs([*prunable, *positions]):
            return [*prunable, *positions]
        if len(positions) == 1:
            return prunable
        middle = len(positions) // 2
        return self.extended(self.extended(prunable, positions[:middle]), positions[middle:])

    def share_left(self, positions: Sequence[str]) -> float:
        """Return the share of the parameters that remain after pruning at these positions."""
        return _parameters(self._pruned(positions)) / _parameters(self._network)

    def _runs(self, positions: Sequence[str]) -> bool:
        self._count += 1
        if self._count > _MAX_TRIALS:
            return False
        try:
            with as_value_errors(self._network):
                run(self._pruned(positions), self._example)
        except ValueError:
            return False
        return True

    def _pruned(self, positions: Sequence[str]) -> nn.Module:
        network = copy.deepcopy(self._network)
        with traced(network):
            pruner = build_pruner(
                network,
                self._example,
                importance=_trial_scores,
                kept=self.protected(positions),
                pruning_ratio=_RATIO,
            )
            for group in pruner.step(interactive=True):
                group.prune()
        settle(network)
        return network


def _roots(network: nn.Module, example: Tensor) -> tuple[list[str], list[str]]:
    """Return the root layers of the groups that can't be pruned, and those of the other groups."""
    names = {module: name for name, module in network.named_modules()}
    unprunable: list[nn.Module] = []
    with traced(network):
        classes = classifier_layers(network, example)
        graph = dependency_graph(network, example)
        # If a layer is ignored, another layer of its group may become the root.
        while True:
            groups = list(graph.get_all_groups(ignored_layers=classes + unprunable))
            rejected = [_root(group) for group in groups if not _is_prunable(graph, group)]
            if not rejected:
                break
            unprunable += rejected
    return [names[root] for root in unprunable], [names[_root(group)] for group in groups]


def _root(group: torch_pruning.Group) -> nn.Module:
    root: nn.Module = group[0].dep.target.module
    return root


def _is_prunable(graph: torch_pruning.DependencyGraph, group: torch_pruning.Group) -> bool:
    for dependency, indices in group:
        size = _channels(graph, dependency)
        if min(indices) < 0 or (size is not None and max(indices) >= size):
            return False
    try:
        # The pruner can prune some grouped convolutions, but can't score them.
        torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    except (IndexError, RuntimeError):
        return False
    return True


def _channels(graph: torch_pruning.DependencyGraph, dependency: Dependency) -> int | None:
    outputs = graph.is_out_channel_pruning_fn(dependency.handler)
    count = graph.get_out_channels if outputs else graph.get_in_channels
    size: int | None = count(dependency.target)
    return size


def _position(name: str) -> str:
    """Return the name with `*` for each block number; numbers inside a word, as in `fc1`, stay."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def _trial_scores(group: torch_pruning.Group) -> Tensor:
    """Return scores that depend only on the number of channels, lower for the first channels.

    So the halves and the heads of a layer lose different numbers of channels, as with trained
    weights.
    """
    channels = len(group[0].idxs)
    scores = torch.rand(channels, generator=torch.Generator().manual_seed(0))
    return scores + torch.linspace(0, 1, channels)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
