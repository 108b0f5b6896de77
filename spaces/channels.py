"""Cutting channels out of a network along its dependency graph, and replaying the cuts."""

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch_pruning
from timm.layers import Attention
from torch import Tensor, nn

from spaces.axes import Cut


def cut_channels(
    model: nn.Module, example: Tensor, *, importance: Callable[..., Tensor | None], ratio: float
) -> tuple[nn.Module, list[Cut]]:
    """A copy of `model` without the least important channels of each layer, and the cuts made.

    Args:
        model: a timm classifier; left as it is. Its last layer keeps its outputs.
        example: one input, [1, channels, height, width].
        importance: torch-pruning's score of a group of coupled channels.
        ratio: share of the channels to cut in each layer, 0 to 1.

    Raises:
        ValueError: the dependency graph does not describe this network, so that it no longer runs
            once it is cut.
    """
    pruned = copy.deepcopy(model)
    attentions = [module for module in pruned.modules() if isinstance(module, Attention)]
    with _gradients(pruned), _as_value_errors(model):
        pruner = torch_pruning.pruner.BasePruner(
            pruned,
            example,
            importance=importance,
            pruning_ratio=ratio,
            ignored_layers=_classifiers(pruned),
            num_heads={module.qkv: module.num_heads for module in attentions},
        )
        pruner.step()
        _settle(pruned)
        pruned(example)
    return pruned, [(name, outputs, list(cut)) for name, outputs, cut in pruner.pruning_history()]


def replay_cuts(model: nn.Module, example: Tensor, cuts: Sequence[Cut]) -> None:
    """Makes the same cuts in an uncut network of the same architecture, in place."""
    if not cuts:
        return
    with _gradients(model), _as_value_errors(model):
        graph = torch_pruning.DependencyGraph().build_dependency(model, example)
        graph.load_pruning_history(cuts)
        _settle(model)
        model(example)


def _classifiers(model: nn.Module) -> list[nn.Module]:
    heads = model.get_classifier()  # type: ignore[operator]  # timm's models have it
    return list(heads) if isinstance(heads, tuple) else [heads]


def _settle(model: nn.Module) -> None:
    # timm's attention keeps its width in attributes, which torch-pruning does not know of.
    for module in model.modules():
        if isinstance(module, Attention):
            module.attn_dim = module.qkv.out_features // 3
            module.head_dim = module.attn_dim // module.num_heads
            module.scale = module.head_dim**-0.5


@contextmanager
def _gradients(model: nn.Module) -> Iterator[None]:
    """Lets torch-pruning trace the autograd graph of `model`, in evaluation mode."""
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
def _as_value_errors(model: nn.Module) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AttributeError, IndexError, KeyError, TypeError, AssertionError) as error:
        kind = type(model).__name__
        raise ValueError(f"channels can't be cut out of this {kind}: {error}") from error
