"""Quantization-aware training with fake quantization.

The forward pass rounds weights and activations in the same way as the number format of the model
file. The backward pass ignores the rounding (straight-through estimator; Bengio et al. 2013,
arXiv:1308.3432).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

# Weight of a new batch in the running range (Jacob et al. 2018, section 3.1).
_MOMENTUM = 0.01
_INPUT_QUANTIZER = "rounding"
_LEVELS = 255

# Maps weights, [channels, weights], to quantized weights of the same shape.
Rounder = Callable[[Tensor], Tensor]


@contextmanager
def rounded_weights(
    network: nn.Module, example: Tensor, rounder: Rounder, *, ends: bool = True,
    worth: Callable[[int, int], bool] = lambda channels, numbers: True, activations: bool = False,
) -> Iterator[None]:  # fmt: skip
    """Apply fake quantization to convolutions and linear layers, inside the context.

    After the context, the layers have their unquantized weights, with the changes of the training.

    Args:
        network: changed in place.
        example: one input, [1, channels, height, width]; it determines the order of the layers.
        rounder: quantizes weights, [channels, weights].
        ends: whether to include the first and the last layer.
        worth: returns whether to quantize a layer, for its number of channels and its number of
            weights per channel.
        activations: whether to quantize the inputs of these layers to 8 bits too. The range is a
            running mean of the smallest and the largest value of each training batch.
    """
    layers = _layers_in_order(network, example)
    chosen = layers if ends else layers[1:-1]
    chosen = [layer for layer in chosen if worth(len(layer.weight), layer.weight[0].numel())]
    handles = []
    for layer in chosen:
        parametrize.register_parametrization(layer, "weight", _FakeQuantizedWeight(rounder))
        if activations:
            layer.add_module(_INPUT_QUANTIZER, _FakeQuantizedInput().to(layer.weight.device))
            handles.append(layer.register_forward_pre_hook(_fake_quantize_input))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in chosen:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
            # torch moves the weight to the end, but the order of the parameters must not change.
            layer._parameters = {"weight": layer._parameters.pop("weight"), **layer._parameters}
            if activations:
                delattr(layer, _INPUT_QUANTIZER)


def rounded_to_int8(weights: Tensor, *, largest: int) -> Tensor:
    """Quantize weights per channel to integers from -largest to largest, and dequantize them.

    Args:
        weights: [channels, weights].
        largest: largest magnitude of the integers.
    """
    scale = weights.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
    scale = scale / largest
    return (weights / scale).round().clamp(-largest, largest) * scale


class _StraightThrough(torch.autograd.Function):
    """Straight-through estimator: returns the rounded values, with the gradient of `values`."""

    @staticmethod
    def forward(ctx: object, values: Tensor, rounded: Tensor) -> Tensor:
        del ctx, values
        return rounded.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        del ctx
        return gradients[0], None


def _straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    result: Tensor = _StraightThrough.apply(values, rounded)
    return result


class _FakeQuantizedWeight(nn.Module):
    """Fake quantization of weights."""

    def __init__(self, rounder: Rounder) -> None:
        super().__init__()
        self._rounder = rounder

    def forward(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            rounded = self._rounder(weight.flatten(1)).view_as(weight)
        return _straight_through(weight, rounded)


class _FakeQuantizedInput(nn.Module):
    """Fake quantization to 256 levels over a running range that includes zero.

    Values outside the range are clipped and have no gradient.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        values = values.float()  # under autocast the values are bfloat16
        if self.training:
            self._update_range(values.detach())
        scale = ((self.high - self.low) / _LEVELS).clamp(min=1e-12)
        zero = (-self.low / scale).round()
        with torch.no_grad():
            rounded = ((values / scale).round() + zero).clamp(0, _LEVELS).sub(zero).mul(scale)
        kept = values.clamp(self.low, self.high)
        return _straight_through(kept, rounded)

    @torch.no_grad()
    def _update_range(self, values: Tensor) -> None:
        low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
        first = self.low == self.high
        self.low.copy_(torch.where(first, low, self.low.lerp(low, _MOMENTUM)))
        self.high.copy_(torch.where(first, high, self.high.lerp(high, _MOMENTUM)))


def _fake_quantize_input(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    values, *others = inputs
    return getattr(layer, _INPUT_QUANTIZER)(values), *others


@torch.no_grad()
def _layers_in_order(network: nn.Module, example: Tensor) -> list[nn.Conv2d | nn.Linear]:
    """Return the network's convolutions and linear layers in the order of the forward pass.

    Some attentions use the weights of layers that they do not call. These layers come before the
    last layer.
    """
    found: dict[nn.Conv2d | nn.Linear, None] = {}

    def record(layer: nn.Module, inputs: object) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        found.setdefault(layer)

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_pre_hook(record) for layer in layers]
    was_training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    called = list(found)
    return [*called[:-1], *(layer for layer in layers if layer not in found), *called[-1:]]
