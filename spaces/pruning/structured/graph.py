"""The dependency graph of a timm network: which layers' channels must be cut together."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch_pruning
from timm.layers import Attention, BlurPool2d
from torch import Tensor, nn
from torch_pruning import dependency
from torch_pruning._helpers import _HybridIndex
from torch_pruning.dependency.dependency import Dependency
from torch_pruning.dependency.index_mapping import _FlattenIndexMapping, update_index_mapping
from torch_pruning.dependency.node import Node
from torch_pruning.dependency.shape_infer import (
    infer_in_channels_recursively,
    infer_out_channels_recursively,
)
from torch_pruning.ops import OPTYPE

from spaces.unfit import UNFIT

# Autograd keeps negative dimensions modulo this.
_UNSIGNED = 2**64
# Channels of one layer, times the positions of an image that it flattens. If torch-pruning
# misreads a reshape, its indices grow without end, round by round.
_MOST_CHANNELS = 200_000

Importance: TypeAlias = Callable[..., Tensor | None]
"""torch-pruning's score of a group of coupled channels: [channels]; None if it has no score."""


class _Graph(torch_pruning.DependencyGraph):  # type: ignore[misc]  # untyped
    """torch-pruning's graph with corrected sizes, axes and groups."""

    def build_dependency(
        self, model: nn.Module, example_inputs: Tensor, **settings: object
    ) -> "_Graph":
        """Build the graph and return it once it describes the network."""
        super().build_dependency(model, example_inputs, **settings)
        _tell_reshapes(self)
        return self

    def _trace(self, *given: object, **settings: object) -> dict[nn.Module, Node]:
        nodes: dict[nn.Module, Node] = super()._trace(*given, **settings)
        for node in nodes.values():
            if node.type == OPTYPE.CONCAT:
                _tell_concatenation(node)
        return nodes

    # torch-pruning's own method follows each path of indices through a group again. Where splits
    # and sums alternate, there are millions of paths.
    def get_pruning_group(
        self, module: nn.Module, pruning_fn: Callable[..., object], idxs: Sequence[int]
    ) -> torch_pruning.Group:
        """Return the channels coupled with those of one layer, by index."""
        if getattr(module, "groups", 1) == getattr(module, "out_channels", None) != 1:
            pruning_fn = torch_pruning.prune_depthwise_conv_out_channels
        update_index_mapping(self)
        group, root = torch_pruning.Group(), self.module2node[module]
        group._DG = self
        first = Dependency(pruning_fn, pruning_fn, source=root, target=root)
        found: dict[tuple[Node, object], tuple[Dependency, dict[int, int | None]]] = {}
        waiting = [(first, [_HybridIndex(index, index) for index in idxs])]
        while waiting:
            link, indices = waiting.pop()
            _, known = found.setdefault((link.target, link.handler), (link, {}))
            fresh = list({one.idx: one for one in indices if one.idx not in known}.values())
            known.update((one.idx, one.root_idx) for one in fresh)
            if len(known) > _MOST_CHANNELS:
                raise ValueError(
                    "a layer's channels must be traceable, but those of "
                    f"{self._module2name[module]} seem to go on for ever"
                )
            waiting += [
                (onward, _mapped(onward, fresh))
                for onward in link.target.dependencies
                if fresh and onward.is_triggered_by(link.handler)
            ]
        for link, known in found.values():
            if known or link is first:
                group.add_dep(link, list(known))
                group[-1].root_idxs = list(known.values())
        return group


class _Pruner(torch_pruning.pruner.BasePruner):  # type: ignore[misc]  # untyped
    """torch-pruning's pruner, which rounds grouped channels group by group.

    The original subtracts from the width of all groups, and takes the difference out of each.
    """

    _groups = 1

    # torch-pruning calls it for each group of channels just before it rounds the group.
    def _is_atten_group(self, group: torch_pruning.Group) -> tuple[bool, list[nn.Module]]:
        self._groups = self._get_channel_groups(group)
        found: tuple[bool, list[nn.Module]] = super()._is_atten_group(group)
        return found

    def _round_to(self, n_pruned: int, current_channels: int, round_to: int) -> int:
        size = current_channels // self._groups
        step = round_to // math.gcd(round_to, self._groups)
        kept = max((size - n_pruned) // step, 1) * step
        return max(size - kept, 0)


def _mapped(link: Dependency, indices: list[_HybridIndex]) -> list[_HybridIndex]:
    """Return the indices of the source's channels in the target's numbering; -1 if unknown."""
    for mapping in link.index_mapping:
        if mapping is not None:
            try:
                indices = mapping(indices)
            # A split into more parts than torch-pruning saw, or an expansion: it takes any of five
            # axes for keys that several queries share.
            except (IndexError, ZeroDivisionError):
                return [_HybridIndex(-1, indices[0].root_idx)]
    return indices


def dependency_graph(network: nn.Module, example: Tensor) -> torch_pruning.DependencyGraph:
    """Return the graph of the channels that must be cut together."""
    return _Graph().build_dependency(network, example)


def build_pruner(
    network: nn.Module,
    example: Tensor,
    *,
    importance: Importance,
    kept: Sequence[str],
    **settings: object,
) -> torch_pruning.pruner.BasePruner:
    """Return torch-pruning's pruner of all layers except the classifier and the kept ones."""
    attentions = [module for module in network.modules() if isinstance(module, Attention)]
    with _own_graph():
        pruner = _Pruner(
            network,
            example,
            importance=importance,
            # The pruner would search for groups, only to count them.
            ignored_layers=[network],
            num_heads={module.qkv: module.num_heads for module in attentions},
            # All pruners share torch-pruning's default objects, which keep their networks alive.
            in_channel_groups={},
            out_channel_groups={},
            **settings,
        )
    whole = [layer for head in classifiers(network) for layer in head.modules()]
    pruner.ignored_layers = whole + [network.get_submodule(name) for name in kept]
    return pruner


@contextmanager
def _own_graph() -> Iterator[None]:
    """Make torch-pruning's pruners build their graph of our class, inside the context."""
    theirs = dependency.DependencyGraph
    dependency.DependencyGraph = _Graph
    try:
        yield
    finally:
        dependency.DependencyGraph = theirs


def _tell_concatenation(node: Node) -> None:
    """Set the channels of each input of a concatenation, or that it joins no channels.

    torch-pruning infers them from the layers around, and does not always find any.
    """
    joined = node.grad_fn._input_metadata[0].shape
    dimension = _dimension(node, len(joined))
    if len(joined) == 3 and dimension == 1:  # tokens, each of which keeps its channels
        node.type = OPTYPE.ELEMENTWISE
        return
    sizes = [
        function._input_metadata[output].shape[dimension]
        for function, output in node.grad_fn.next_functions
        if hasattr(function, "_input_metadata")
    ]
    if len(sizes) == len(node.inputs) and sum(sizes) == joined[dimension]:
        node.module.concat_sizes = sizes


def _dimension(node: Node, rank: int) -> int:
    """Return the dimension along which tensors of that rank are joined."""
    dimension: int = node.grad_fn._saved_dim
    return dimension if dimension < rank else dimension + rank - _UNSIGNED


def _tell_reshapes(graph: torch_pruning.DependencyGraph) -> None:
    """Let only those reshapes spread channels that flatten an image, [batch, channels, y, x].

    torch-pruning takes every reshape for one that seems to change the number of channels. In
    attentions, indices then multiply from reshape to reshape, to millions.
    """
    for node in graph.module2node.values():
        if node.type == OPTYPE.RESHAPE and not _flattens(graph, node):
            node.type = OPTYPE.ELEMENTWISE
            around = {*node.inputs, *node.outputs, node}
            for dependency in (link for one in around for link in one.dependencies):
                if node in (dependency.source, dependency.target) and isinstance(
                    dependency.index_mapping[0], _FlattenIndexMapping
                ):
                    dependency.index_mapping[0] = None


def _flattens(graph: torch_pruning.DependencyGraph, node: Node) -> bool:
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    if len(sizes) != 4:
        return False
    _, channels, height, width = sizes
    given = [infer_out_channels_recursively(graph, one, [0]) for one in node.inputs]
    taken = [infer_in_channels_recursively(graph, one, [0]) for one in node.outputs]
    return given == [channels] and set(taken) == {channels * height * width}


def classifiers(model: nn.Module) -> list[nn.Module]:
    """Return the last layers, whose outputs are the classes."""
    heads = model.get_classifier()  # type: ignore[operator]  # timm's models have it
    return list(heads) if isinstance(heads, tuple) else [heads]


def settle(model: nn.Module) -> None:
    """Update modules that store their width where torch-pruning does not change it."""
    for module in model.modules():
        if isinstance(module, BlurPool2d) and module.channels is not None:
            # The filter is the same for each channel: without a number, it fits any number.
            assert isinstance(module.filt, Tensor)
            module.channels, module.filt = None, module.filt[:1]
        if isinstance(module, Attention):
            module.attn_dim = module.qkv.out_features // 3
            module.head_dim = module.attn_dim // module.num_heads
            module.scale = module.head_dim**-0.5


def run(model: nn.Module, example: Tensor) -> Tensor:
    """Return the output of `model` in evaluation mode; restore the mode afterwards."""
    training = model.training
    try:
        logits: Tensor = model.eval()(example)
    finally:
        model.train(training)
    return logits


@contextmanager
def traced(model: nn.Module) -> Iterator[None]:
    """Let torch-pruning trace the autograd graph of `model`, in evaluation mode."""
    training = model.training
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    model.eval()
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        with warnings.catch_warnings():
            # It warns of each parameter that it finds by itself, which is what we want.
            warnings.filterwarnings("ignore", category=UserWarning, module="torch_pruning")
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.train(training)


@contextmanager
def as_value_errors(model: nn.Module) -> Iterator[None]:
    """Raise every error of the graph or of the cut network as a ValueError."""
    try:
        yield
    except UNFIT as error:
        kind = type(model).__name__
        raise ValueError(f"this {kind} can't be cut: {error}") from error
