"""Layers that keep all channels, because the dependency graph does not describe their couplings.

torch-pruning sees tensors as autograd does. It does not know which axis holds channels where
tensors are reshaped, split into heads, shuffled, or sliced. So cuts of groups of channels are
tried on a copy, before anything is cut:

- a group stays whole if its indices exceed its layers, or if it can't be scored: for example in
  attentions that mix heads by layers of their own, or where a grouped convolution widens a
  residual;
- of the other groups, those stay whole with which the network would no longer run: in most
  attentions the queries, keys and values (timm's usual attention is understood, and cut), and in
  mixers the tensors that are split at a fixed channel.

Repeated blocks are alike: the answer for a layer holds for all layers at its place in their
blocks. The trial cuts depend only on the number of channels, so the answer depends only on the
architecture, not on its weights, and is the same for each method and ratio.
"""

import copy
import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.dependency.dependency import Dependency

from spaces.pruning.structured.graph import (
    as_value_errors,
    build_pruner,
    classifiers,
    dependency_graph,
    run,
    settle,
    traced,
)

# Share of channels cut in trials. It is not round, so that no count stays even by chance.
_RATIO = 0.4
# Share of the parameters that a trial leaves; if all channels can be cut, it is about 0.4.
_MOST_LEFT = 0.9
_MOST_TRIALS = 40
# Number of cached architectures, most of them a search's students.
_REMEMBERED = 256
_known: OrderedDict[str, list[str] | ValueError] = OrderedDict()


def protected_layers(network: nn.Module, example: Tensor) -> list[str]:
    """Return the names of the layers that must keep all channels; cached for each architecture.

    Args:
        network: not changed.
        example: one input, [1, channels, height, width].

    Raises:
        ValueError: so many layers must stay that pruning would leave the network nearly unchanged.
    """
    key = _architecture(network, example)
    if key not in _known:
        try:
            _known[key] = _found(network, example)
        except ValueError as error:
            _known[key] = ValueError(str(error))
    _known.move_to_end(key)
    if len(_known) > _REMEMBERED:
        _known.popitem(last=False)
    answer = _known[key]
    if isinstance(answer, ValueError):
        raise ValueError(str(answer))
    return list(answer)


def _architecture(network: nn.Module, example: Tensor) -> str:
    """Return an identifier of the architecture: its modules, their settings and all shapes."""
    modules = [
        (name, type(module).__qualname__, _settings(module))
        for name, module in network.named_modules()
    ]
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    return repr((modules, shapes, tuple(example.shape)))


def _settings(module: nn.Module) -> list[tuple[str, object]]:
    """Return a module's settings besides its tensors, such as a number of heads."""
    return sorted(
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str | tuple) and name != "training"
    )


def _found(network: nn.Module, example: Tensor) -> list[str]:
    with as_value_errors(network):
        unsound, roots = _roots(copy.deepcopy(network), example)
        trials = _Trials(network, example, unsound, roots)
        fit = trials.extended([], sorted(set(map(_place, roots))))
        left = trials.left(fit)
    if left > _MOST_LEFT:
        raise ValueError(
            f"pruning must be able to take {1 - _MOST_LEFT:.0%} of the parameters out of this "
            f"{type(network).__name__}, but {left:.0%} stay when {_RATIO:.0%} of the channels are "
            "cut wherever that is safe; choose another student or no pruning of channels"
        )
    return trials.kept(fit)


class _Trials:
    """Trial cuts in copies of a network, at some places at a time."""

    def __init__(
        self, network: nn.Module, example: Tensor, unsound: Sequence[str], roots: Sequence[str]
    ) -> None:
        self._network, self._example = network, example
        self._unsound, self._roots = unsound, roots
        self._count = 0

    def kept(self, places: Sequence[str]) -> list[str]:
        """Return all layers except those at these places."""
        return [*self._unsound, *(root for root in self._roots if _place(root) not in places)]

    def extended(self, fit: list[str], places: list[str]) -> list[str]:
        """Return the fit places, and those of the others that can be cut together with them."""
        if not places or self._runs([*fit, *places]):
            return [*fit, *places]
        if len(places) == 1:
            return fit
        middle = len(places) // 2
        return self.extended(self.extended(fit, places[:middle]), places[middle:])

    def left(self, places: Sequence[str]) -> float:
        """Return the share of the parameters that a cut at these places leaves."""
        return _parameters(self._cut(places)) / _parameters(self._network)

    def _runs(self, places: Sequence[str]) -> bool:
        self._count += 1
        if self._count > _MOST_TRIALS:
            return False
        try:
            with as_value_errors(self._network):
                run(self._cut(places), self._example)
        except ValueError:
            return False
        return True

    def _cut(self, places: Sequence[str]) -> nn.Module:
        network = copy.deepcopy(self._network)
        with traced(network):
            pruner = build_pruner(
                network,
                self._example,
                importance=_scattered,
                kept=self.kept(places),
                pruning_ratio=_RATIO,
            )
            for group in pruner.step(interactive=True):
                group.prune()
        settle(network)
        return network


def _roots(network: nn.Module, example: Tensor) -> tuple[list[str], list[str]]:
    """Return the root layers of the groups that can't be cut, and those of the other groups."""
    names = {module: name for name, module in network.named_modules()}
    classes = [layer for head in classifiers(network) for layer in head.modules()]
    unsound: list[nn.Module] = []
    with traced(network):
        graph = dependency_graph(network, example)
        # If one layer is kept, another layer of its group may become the root.
        while True:
            groups = list(graph.get_all_groups(ignored_layers=classes + unsound))
            worse = [_root(group) for group in groups if not _is_sound(graph, group)]
            if not worse:
                break
            unsound += worse
    return [names[root] for root in unsound], [names[_root(group)] for group in groups]


def _root(group: torch_pruning.Group) -> nn.Module:
    root: nn.Module = group[0].dep.target.module
    return root


def _is_sound(graph: torch_pruning.DependencyGraph, group: torch_pruning.Group) -> bool:
    for dependency, indices in group:
        size = _channels(graph, dependency)
        if min(indices) < 0 or (size is not None and max(indices) >= size):
            return False
    try:
        # Some grouped convolutions can be cut, but not scored.
        torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    except (IndexError, RuntimeError):
        return False
    return True


def _channels(graph: torch_pruning.DependencyGraph, dependency: Dependency) -> int | None:
    outputs = graph.is_out_channel_pruning_fn(dependency.handler)
    count = graph.get_out_channels if outputs else graph.get_in_channels
    size: int | None = count(dependency.target)
    return size


def _place(name: str) -> str:
    """Replace the blocks' numbers in the name; those inside a word, as in `fc1`, name layers."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def _scattered(group: torch_pruning.Group) -> Tensor:
    """Return scores that depend only on the number of channels, lower for the first ones.

    So the halves and heads of a layer lose different numbers, as with trained weights.
    """
    channels = len(group[0].idxs)
    scores = torch.rand(channels, generator=torch.Generator().manual_seed(0))
    return scores + torch.linspace(0, 1, channels)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
