"""The dependency graph of a timm network: the channels that must be pruned together."""

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

from spaces.pruning.structured.classifier import classifier_layers
from spaces.unfit import UNFIT

# Autograd stores a negative dimension modulo this number.
_UNSIGNED = 2**64
# Largest number of channels of a layer, including flattened pixels. If torch-pruning misinterprets
# a reshape, the number of indices grows without limit.
_MAX_CHANNELS = 200_000

Importance: TypeAlias = Callable[..., Tensor | None]
"""Computes the scores of a group of coupled channels, [channels]; None if it has no score."""


class _Graph(torch_pruning.DependencyGraph):  # type: ignore[misc]  # untyped
    """torch-pruning's graph, with corrected sizes, axes and groups."""

    def build_dependency(
        self, model: nn.Module, example_inputs: Tensor, **settings: object
    ) -> "_Graph":
        """Build the graph, correct it and return it."""
        super().build_dependency(model, example_inputs, **settings)
        _correct_reshapes(self)
        return self

    def _trace(self, *given: object, **settings: object) -> dict[nn.Module, Node]:
        nodes: dict[nn.Module, Node] = super()._trace(*given, **settings)
        for node in nodes.values():
            if node.type == OPTYPE.CONCAT:
                _correct_concatenation(node)
        return nodes

    # torch-pruning's method follows each path of indices through a group. A network with many
    # splits and sums has millions of paths. This method visits each index of a layer once.
    def get_pruning_group(
        self, module: nn.Module, pruning_fn: Callable[..., object], idxs: Sequence[int]
    ) -> torch_pruning.Group:
        """Return the group of channels that are coupled with the channels `idxs` of a layer."""
        if getattr(module, "groups", 1) == getattr(module, "out_channels", None) != 1:
            pruning_fn = torch_pruning.prune_depthwise_conv_out_channels
        update_index_mapping(self)
        group, root = torch_pruning.Group(), self.module2node[module]
        group._DG = self
        first = Dependency(pruning_fn, pruning_fn, source=root, target=root)
        found: dict[tuple[Node, object], tuple[Dependency, dict[int, int | None]]] = {}
        pending = [(first, [_HybridIndex(index, index) for index in idxs])]
        while pending:
            link, indices = pending.pop()
            _, known = found.setdefault((link.target, link.handler), (link, {}))
            new = list({one.idx: one for one in indices if one.idx not in known}.values())
            known.update((one.idx, one.root_idx) for one in new)
            if len(known) > _MAX_CHANNELS:
                raise ValueError(
                    f"a layer must be coupled with at most {_MAX_CHANNELS} channels, but "
                    f"{self._module2name[module]} seems to be coupled with more: choose another "
                    "student or another pruning"
                )
            pending += [
                (onward, _mapped(onward, new))
                for onward in link.target.dependencies
                if new and onward.is_triggered_by(link.handler)
            ]
        for link, known in found.values():
            if known or link is first:
                group.add_dep(link, list(known))
                group[-1].root_idxs = list(known.values())
        return group


class _Pruner(torch_pruning.pruner.BasePruner):  # type: ignore[misc]  # untyped
    """torch-pruning's pruner, with corrected rounding of grouped channels.

    The original computes the number of channels to prune for all groups together, and then removes
    that number from each group.
    """

    _groups = 1

    # torch-pruning calls this method for each group directly before it calls _round_to.
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
    """Return the indices in the target of channels of the source; -1 if unknown."""
    for mapping in link.index_mapping:
        if mapping is not None:
            try:
                indices = mapping(indices)
            # The causes are a split with more parts than torch-pruning found, or an expansion with
            # five axes, which torch-pruning takes for keys that several queries share.
            except (IndexError, ZeroDivisionError):
                return [_HybridIndex(-1, indices[0].root_idx)]
    return indices


def dependency_graph(network: nn.Module, example: Tensor) -> torch_pruning.DependencyGraph:
    """Return the graph of the channels that must be pruned together."""
    return _Graph().build_dependency(network, example)


def build_pruner(
    network: nn.Module,
    example: Tensor,
    *,
    importance: Importance,
    kept: Sequence[str],
    **settings: object,
) -> torch_pruning.pruner.BasePruner:
    """Return a pruner of all layers except the classifier and the layers named in `kept`."""
    attentions = [module for module in network.modules() if isinstance(module, Attention)]
    with _corrected_graph():
        pruner = _Pruner(
            network,
            example,
            importance=importance,
            # Otherwise the pruner would search for all groups, only to count them.
            ignored_layers=[network],
            num_heads={module.qkv: module.num_heads for module in attentions},
            # All pruners would share the default dictionaries, which keep networks in memory.
            in_channel_groups={},
            out_channel_groups={},
            **settings,
        )
    pruner.ignored_layers = classifier_layers(network, example) + [
        network.get_submodule(name) for name in kept
    ]
    return pruner


@contextmanager
def _corrected_graph() -> Iterator[None]:
    """Make torch-pruning's pruners use the corrected graph, inside the context."""
    original = dependency.DependencyGraph
    dependency.DependencyGraph = _Graph
    try:
        yield
    finally:
        dependency.DependencyGraph = original


def _correct_concatenation(node: Node) -> None:
    """Set the number of channels of each input of a concatenation.

    torch-pruning infers these numbers from neighbouring layers, which can fail. If the node
    concatenates tokens, the function marks it as element-wise.
    """
    joined = node.grad_fn._input_metadata[0].shape
    dimension = _dimension(node, len(joined))
    if len(joined) == 3 and dimension == 1:  # tokens; the number of channels does not change
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
    """Return the dimension along which the node concatenates tensors of this rank."""
    dimension: int = node.grad_fn._saved_dim
    return dimension if dimension < rank else dimension + rank - _UNSIGNED


def _correct_reshapes(graph: torch_pruning.DependencyGraph) -> None:
    """Mark reshapes as element-wise unless they flatten an image, [batch, channels, y, x].

    torch-pruning treats other reshapes as flattening too, if the number of channels seems to
    change. In attentions, each reshape then multiplies the number of indices, up to millions.
    """
    for node in graph.module2node.values():
        if node.type == OPTYPE.RESHAPE and not _flattens(graph, node):
            node.type = OPTYPE.ELEMENTWISE
            neighbours = {*node.inputs, *node.outputs, node}
            for dependency in (link for one in neighbours for link in one.dependencies):
                if node in (dependency.source, dependency.target) and isinstance(
                    dependency.index_mapping[0], _FlattenIndexMapping
                ):
                    dependency.index_mapping[0] = None


def _flattens(graph: torch_pruning.DependencyGraph, node: Node) -> bool:
    sizes: tuple[int, ...] = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    if len(sizes) != 4:
        return False
    _, channels, height, width = sizes
    inputs = [infer_out_channels_recursively(graph, one, [0]) for one in node.inputs]
    outputs = [infer_in_channels_recursively(graph, one, [0]) for one in node.outputs]
    return inputs == [channels] and set(outputs) == {channels * height * width}


def settle(model: nn.Module) -> None:
    """Update the attributes for the number of channels that torch-pruning does not update."""
    for module in model.modules():
        if isinstance(module, BlurPool2d) and module.channels is not None:
            # All channels have the same filter. If channels is None, the module accepts any number.
            assert isinstance(module.filt, Tensor)
            module.channels, module.filt = None, module.filt[:1]
        if isinstance(module, Attention):
            module.attn_dim = module.qkv.out_features // 3
            module.head_dim = module.attn_dim // module.num_heads
            module.scale = module.head_dim**-0.5


def run(model: nn.Module, example: Tensor) -> Tensor:
    """Return the output of `model` in evaluation mode, and restore its mode."""
    training = model.training
    try:
        logits: Tensor = model.eval()(example)
    finally:
        model.train(training)
    return logits


@contextmanager
def traced(model: nn.Module) -> Iterator[None]:
    """Prepare `model` for torch-pruning's trace of its autograd graph, inside the context.

    The model is in evaluation mode, and all parameters have gradients.
    """
    training = model.training
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    model.eval()
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        with warnings.catch_warnings():
            # torch-pruning warns of each parameter outside of layers. It should include them here.
            warnings.filterwarnings("ignore", category=UserWarning, module="torch_pruning")
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.train(training)


@contextmanager
def as_value_errors(model: nn.Module) -> Iterator[None]:
    """Convert errors of the graph and of the pruned network to ValueError, inside the context."""
    try:
        yield
    except UNFIT as error:
        kind = type(model).__name__
        raise ValueError(
            f"this {kind} can't be pruned: {error}. Choose another student or another pruning"
        ) from error
