"""Counts of a network's parameters and operations."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# Increase it when parameters or operations are counted in another way.
VERSION = 1

_Shape = tuple[int, ...]


def count_parameters(network: nn.Module) -> int:
    """Return the number of all parameters, frozen ones and the classifier's included."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates of convolutions and matrix products for `images`.

    The operations are counted as they run, so layers of any class count: also attention, and
    transposed, grouped and standardised convolutions. Sums, normalisations, activations and the
    preparation of weights don't count; padding counts like pixels.

    Args:
        network: in any mode, on any device; not changed.
        images: [batch, channels, height, width]; on the device `meta` nothing is computed, if the
            network is there too.
    """
    return int(_counted(network, images).get_total_flops()) // 2


def count_macs_by_layer(network: nn.Module, images: Tensor) -> tuple[dict[str, int], int]:
    """Return the multiply-accumulates of each layer by name, and those outside of layers.

    Layers are modules without submodules; most of attention's products are outside of layers.

    Args:
        network: as for `count_macs`.
        images: as for `count_macs`.
    """
    counter = _counted(network, images)
    found = {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}
    # The counter puts the network's class before the names.
    root = type(network).__name__
    layers = {
        name: found[f"{root}.{name}"]
        for name, module in network.named_modules()
        if f"{root}.{name}" in found and not any(module.children())
    }
    return layers, int(counter.get_total_flops()) // 2 - sum(layers.values())


def _counted(network: nn.Module, images: Tensor) -> FlopCounterMode:
    # The counter fails on trainable parameters that are passed from module to module.
    copied = copy.deepcopy(network).to(images.device).eval().requires_grad_(requires_grad=False)
    counter = FlopCounterMode(display=False, custom_mapping=_FUSED)
    with torch.no_grad(), counter:
        copied(images)
    return counter


def _recurrent(inputs: _Shape, into: _Shape, again: _Shape, *_: object, **__: object) -> int:
    """Count one recurrent layer in one direction.

    inputs: [steps, batch, width]; weights: [gates, width].
    """
    steps, batch, _width = inputs
    return 2 * steps * batch * (into[0] * into[1] + again[0] * again[1])


def _attention(queries: _Shape, *_: object, **__: object) -> int:
    """Count a fused torch attention, from [batch, tokens, width] to itself."""
    batch, tokens, width = queries
    return 2 * batch * tokens * width * (4 * width + 2 * tokens)


def _encoder(tokens: _Shape, *rest: Any, **__: object) -> int:
    """Count a fused torch encoder layer: attention, and two layers through `hidden`."""
    batch, length, width = tokens
    hidden: int = rest[_HIDDEN - 1][0]
    return _attention(tokens) + 2 * batch * length * 2 * width * hidden


# Place of the first inner layer's weight among the operator's arguments.
_HIDDEN = 14
# Operators that torch fuses on a CPU and does not count by itself.
_FUSED: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.aten._native_multi_head_attention: _attention,
    torch.ops.aten._transformer_encoder_layer_fwd: _encoder,
}
