"""The layers that compute a network's logits. Pruning must keep all of their outputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def classifier_layers(network: nn.Module, example: Tensor) -> list[nn.Module]:
    """Return the last layers, which compute the logits, and the modules in them.

    timm's networks name them. In any other network they are the first convolutions and linear
    layers on the way back from the logits through the autograd graph.

    Args:
        network: not changed; at least one parameter needs a gradient.
        example: one input, [1, channels, height, width].

    Raises:
        ValueError: no such layer computes the logits.
    """
    if hasattr(network, "get_classifier"):
        named = network.get_classifier()  # type: ignore[operator]  # as in timm
        heads = list(named) if isinstance(named, tuple) else [named]
    else:
        heads = _last_layers(network, example)
    if not heads:
        raise ValueError(
            "a network to prune must compute its logits by a linear layer or a convolution, but "
            f"{type(network).__name__} has no such layer"
        )
    return [layer for head in heads for layer in head.modules()]


def _last_layers(network: nn.Module, example: Tensor) -> list[nn.Module]:
    layers: dict[Any, nn.Module] = {}  # by the node of the autograd graph that a layer adds
    hooks = [
        module.register_forward_hook(
            lambda layer, _, output: layers.update({output.grad_fn: layer})
        )
        for module in network.modules()
        if isinstance(module, _ConvNd | nn.Linear)
    ]
    try:
        with torch.enable_grad():
            logits = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    found: dict[nn.Module, None] = {}
    seen, pending = set(), [logits.grad_fn]
    while pending:
        node = pending.pop()
        if node in layers:
            found[layers[node]] = None
        elif node is not None and node not in seen:
            seen.add(node)
            pending += [before for before, _ in node.next_functions]
    return list(found)
