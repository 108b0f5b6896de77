"""Counts of a network's parameters and operations."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# Increase this when the code counts parameters or operations in another way.
VERSION = 1

_Shape = tuple[int, ...]


def count_parameters(network: nn.Module) -> int:
    """Return the number of all parameters, including frozen parameters and the classifier."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates (MACs) of convolutions and matrix products for `images`.

    The function runs the network and counts its operations. So it supports layers of any class,
    such as attention, and transposed, grouped or standardised convolutions. It does not count
    sums, normalisations, activations and the preparation of weights. It counts padding like pixels.

    Args:
        network: in any mode, on any device; not changed.
        images: [batch, channels, height, width]. If the images and the network are on the device
            `meta`, torch computes no values.
    """
    return int(_count_operations(network, images).get_total_flops()) // 2


def count_macs_by_layer(network: nn.Module, images: Tensor) -> tuple[dict[str, int], int]:
    """Return the MACs of each layer, by name, and the MACs outside of layers.

    A layer is a module without submodules. Most matrix products of attention are outside of layers.

    Args:
        network: see `count_macs`.
        images: see `count_macs`.
    """
    counter = _count_operations(network, images)
    found = {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}
    # The counter prefixes each name with the network's class.
    root = type(network).__name__
    layers = {
        name: found[f"{root}.{name}"]
        for name, module in network.named_modules()
        if f"{root}.{name}" in found and not any(module.children())
    }
    return layers, int(counter.get_total_flops()) // 2 - sum(layers.values())


def _count_operations(network: nn.Module, images: Tensor) -> FlopCounterMode:
    # The counter fails if one module passes a trainable parameter to another module.
    copied = copy.deepcopy(network).to(images.device).eval().requires_grad_(requires_grad=False)
    counter = FlopCounterMode(display=False, custom_mapping=_FUSED)
    with torch.no_grad(), counter:
        copied(images)
    return counter


def _recurrent(
    inputs: _Shape, input_weights: _Shape, hidden_weights: _Shape, *_: object, **__: object
) -> int:
    """Return the FLOPs of one recurrent layer in one direction.

    Args:
        inputs: shape of the inputs, [steps, batch, width].
        input_weights: shape of the weights of the inputs, [gates, width].
        hidden_weights: shape of the weights of the hidden state, [gates, width].
    """
    steps, batch, _width = inputs
    weights = input_weights[0] * input_weights[1] + hidden_weights[0] * hidden_weights[1]
    return 2 * steps * batch * weights


def _attention(queries: _Shape, *_: object, **__: object) -> int:
    """Return the FLOPs of a fused torch self-attention of [batch, tokens, width]."""
    batch, tokens, width = queries
    return 2 * batch * tokens * width * (4 * width + 2 * tokens)


def _encoder(tokens: _Shape, *rest: Any, **__: object) -> int:
    """Return the FLOPs of a fused torch encoder layer: attention and two linear layers."""
    batch, length, width = tokens
    hidden: int = rest[_HIDDEN - 1][0]
    return _attention(tokens) + 2 * batch * length * 2 * width * hidden


# Position of the first linear layer's weight among the operator's arguments.
_HIDDEN = 14
# Operators that torch fuses on a CPU. torch's own counter does not count them.
_FUSED: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.aten._native_multi_head_attention: _attention,
    torch.ops.aten._transformer_encoder_layer_fwd: _encoder,
}
