"""Pruning of channels and attention heads along a network's dependency graph."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch_pruning
from timm.layers import Attention
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spaces.axes.pruning import Cut, CutSide
from spaces.pruning.structured.graph import (
    Importance,
    as_value_errors,
    build_pruner,
    run,
    settle,
    traced,
)
from spaces.pruning.structured.protection import protected_layers

# Increase this if a uniform ratio gives other shapes. Stored costs of these methods use it.
VERSION = 1

NORMALISATIONS = (_BatchNorm, nn.LayerNorm)
MEASURED = (_ConvNd, nn.Linear, *NORMALISATIONS)


def magnitude(*, power: int, of: Sequence[type[nn.Module]] = MEASURED) -> Importance:
    """Return an importance: the sum of absolute weights to a power, averaged over coupled layers.

    The importance is divided by the mean of the group, so that layers can compete.

    Args:
        power: exponent of the absolute weights, 1 or 2.
        of: classes of the layers to score; groups without such layers have no score.
    """
    importance: Importance = torch_pruning.importance.GroupMagnitudeImportance(
        p=power, target_types=list(of)
    )
    return importance


def total_square() -> Importance:
    """Return an importance: the sum of a channel's squared weights and biases in all layers."""
    importance: Importance = torch_pruning.importance.GroupMagnitudeImportance(
        p=2, group_reduction="sum", normalizer=None, bias=True, target_types=list(MEASURED)
    )
    return importance


@dataclass(frozen=True, kw_only=True)
class CutPlan:
    """The number of channels to prune, and the scope in which they compete.

    Attributes:
        ratio: share of the channels to prune in all steps together, 0 to 1.
        steps: number of equal steps.
        scope: `layer` prunes the same share of each layer; `global` prunes the least important
            channels of all layers; `isomorphic` prunes the least important channels of all layers
            with the same structure.
        round_to: the number of remaining channels is a multiple of it, in layers with at least this
            number of channels.
        whole_heads: whether to prune whole heads of attentions, not the same width of each head.
    """

    ratio: float
    steps: int = 1
    scope: str = "layer"
    round_to: int = 1
    whole_heads: bool = False


class Cutter:
    """Pruning of a network in place, step by step.

    Args:
        network: a classifier. The layers that compute its logits keep all outputs.
        example: one input, [1, channels, height, width].
        importance: computes the scores of a group's channels.
        plan: the ratio, the steps and the scope of the pruning.

    Raises:
        ValueError: the dependency graph does not describe this network.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, *, importance: Importance, plan: CutPlan
    ) -> None:
        self._network, self._example = network, example
        self._importance, self._plan = importance, plan
        self._attentions = [m for m in network.modules() if isinstance(m, Attention)]
        self._heads = [attention.num_heads for attention in self._attentions]
        self._cuts: list[Cut] = []
        self._step = 0
        with traced(network), as_value_errors(network):
            self._pruner = build_pruner(
                network,
                example,
                importance=importance,
                kept=protected_layers(network, example),
                pruning_ratio=plan.ratio,
                iterative_steps=plan.steps,
                global_pruning=plan.scope != "layer",
                isomorphic=plan.scope == "isomorphic",
                round_to=plan.round_to if plan.round_to > 1 else None,
                prune_head_dims=not plan.whole_heads,
            )

    @property
    def cuts(self) -> list[Cut]:
        """The cuts of all steps so far."""
        return list(self._cuts)

    def step(self, weighed: AbstractContextManager[object] | None = None) -> None:
        """Prune the channels of the next step.

        Args:
            weighed: context for the scoring of channels. It is closed before the first channel is
                pruned.

        Raises:
            ValueError: the pruned network does not run, because the graph does not describe it.
        """
        self._step += 1
        with as_value_errors(self._network):
            groups = self._groups()
            # The pruner scores all groups before it returns the first one.
            with weighed or nullcontext():
                heads = self._least_important_heads() if self._plan.whole_heads else []
                first = next(groups, None)
            if first is not None:
                self._cut(first)
            for group in groups:
                self._cut(group)
            for attention, pruned in heads:
                self._cut_heads(attention, pruned)
            settle(self._network)
            run(self._network, self._example)

    def _groups(self) -> Iterator[torch_pruning.Group]:
        """Score all channels, and yield the groups of those to prune now."""
        yield from self._pruner.step(interactive=True)

    def _cut(self, group: torch_pruning.Group) -> None:
        group.prune()
        name, outputs, indices = self._graph.pruning_history()[-1]
        part = CutSide.OUTPUTS if outputs else CutSide.INPUTS
        self._cuts.append((name, part, [int(index) for index in indices]))

    def _least_important_heads(self) -> list[tuple[Attention, list[int]]]:
        """Return the least important heads of each attention; each attention keeps at least one."""
        share = self._plan.ratio * self._step / self._plan.steps
        found = []
        for attention, heads in zip(self._attentions, self._heads, strict=True):
            surplus = attention.num_heads - max(1, int(heads * (1 - share)))
            channels = range(attention.proj.in_features)
            scores = self._importance(_head_group(self._graph, attention, channels))
            if surplus > 0 and scores is not None:
                by_head = scores.view(attention.num_heads, -1).sum(dim=1)
                found.append((attention, sorted(by_head.argsort()[:surplus].tolist())))
        return found

    def _cut_heads(self, attention: Attention, heads: list[int]) -> None:
        cut_heads(self._graph, attention, heads)
        self._pruner.num_heads[attention.qkv] = attention.num_heads
        self._pruner.out_channel_groups[attention.qkv] = attention.num_heads
        names = {module: name for name, module in self._network.named_modules()}
        self._cuts.append((names[attention], CutSide.HEADS, heads))

    @property
    def _graph(self) -> torch_pruning.DependencyGraph:
        return self._pruner.DG


def cut_channels(
    model: nn.Module, example: Tensor, *, importance: Importance, plan: CutPlan
) -> tuple[nn.Module, list[Cut]]:
    """Return a copy of `model` that is pruned in one step, and its cuts; see `Cutter`."""
    pruned = copy.deepcopy(model)
    cutter = Cutter(pruned, example, importance=importance, plan=plan)
    cutter.step()
    return pruned, cutter.cuts


def cut_again(graph: torch_pruning.DependencyGraph, cut: Cut) -> None:
    """Repeat a cut of another network of the same architecture in the network of `graph`."""
    name, part, indices = cut
    module = graph.model.get_submodule(name)
    if part == CutSide.HEADS:
        cut_heads(graph, module, indices)
        return
    pruner = graph.get_pruner_of_module(module)
    function = pruner.prune_out_channels if part == CutSide.OUTPUTS else pruner.prune_in_channels
    graph.get_pruning_group(module, function, list(indices)).prune(record_history=False)
    settle(graph.model)


def cut_heads(
    graph: torch_pruning.DependencyGraph, attention: nn.Module, heads: Sequence[int]
) -> None:
    """Prune whole heads of a timm attention; head numbers start at 0."""
    assert isinstance(attention, Attention)
    width = attention.proj.in_features // attention.num_heads
    channels = [head * width + place for head in heads for place in range(width)]
    _head_group(graph, attention, channels).prune(record_history=False)
    attention.num_heads -= len(heads)
    settle(graph.model)


def _head_group(
    graph: torch_pruning.DependencyGraph, attention: Attention, channels: Sequence[int]
) -> torch_pruning.Group:
    # The inputs of the projection are ordered by head; the outputs of qkv have another order.
    function = torch_pruning.prune_linear_in_channels
    return graph.get_pruning_group(attention.proj, function, list(channels))
