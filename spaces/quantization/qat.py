"""Training of a network under the rounding of the number format in which it is shipped.

In the forward pass, weights and activations are rounded as the format rounds them. In the
backward pass, gradients ignore the rounding (Bengio et al. 2013, arXiv:1308.3432).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

# Share of a new batch in the running range (Jacob et al. 2018, section 3.1).
_MOMENTUM = 0.01
_RANGED = "rounding"
_LEVELS = 255

# Maps weights [channels, numbers] to rounded ones of the same shape.
Rounder = Callable[[Tensor], Tensor]


@contextmanager
def rounded_weights(
    network: nn.Module, example: Tensor, rounder: Rounder, *, ends: bool = True,
    worth: Callable[[int, int], bool] = lambda channels, numbers: True, activations: bool = False,
) -> Iterator[None]:  # fmt: skip
    """Round the weights of the network's convolutions and linear layers inside the context.

    Afterwards they have the unrounded weights, as training changed them.

    Args:
        network: changed in place.
        example: one input, which determines the order of the layers.
        rounder: rounds weights, [channels, numbers].
        ends: whether the first and the last layer are rounded as well.
        worth: decides, from the numbers of channels and of weights in each, whether to round.
        activations: whether the inputs of these layers are rounded to 8 bits as well, over a
            range that follows the smallest and largest of each batch in training.
    """
    layers = _layers_in_order(network, example)
    chosen = layers if ends else layers[1:-1]
    chosen = [layer for layer in chosen if worth(len(layer.weight), layer.weight[0].numel())]
    handles = []
    for layer in chosen:
        parametrize.register_parametrization(layer, "weight", _RoundedWeight(rounder))
        if activations:
            layer.add_module(_RANGED, _Ranged().to(layer.weight.device))
            handles.append(layer.register_forward_pre_hook(_round_input))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in chosen:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
            # torch appends the weight at the end, but the order of parameters must not change.
            layer._parameters = {"weight": layer._parameters.pop("weight"), **layer._parameters}
            if activations:
                delattr(layer, _RANGED)


def rounded_to_int8(weights: Tensor, *, largest: int) -> Tensor:
    """Round weights [channels, numbers] to each channel's integers from -largest to largest."""
    scale = weights.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
    scale = scale / largest
    return (weights / scale).round().clamp(-largest, largest) * scale


class _Straight(torch.autograd.Function):
    """The exact rounded values, with the gradient of the unrounded ones."""

    @staticmethod
    def forward(ctx: object, values: Tensor, rounded: Tensor) -> Tensor:
        del ctx, values
        return rounded.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        del ctx
        return gradients[0], None


def _straight(values: Tensor, rounded: Tensor) -> Tensor:
    result: Tensor = _Straight.apply(values, rounded)
    return result


class _RoundedWeight(nn.Module):
    """Weights as they are shipped; gradients pass."""

    def __init__(self, rounder: Rounder) -> None:
        super().__init__()
        self._rounder = rounder

    def forward(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            rounded = self._rounder(weight.flatten(1)).view_as(weight)
        return _straight(weight, rounded)


class _Ranged(nn.Module):
    """Rounding to 256 levels over a running range that holds zero; gradients pass inside it."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        values = values.float()  # under autocast they are bfloat16
        if self.training:
            self._follow(values.detach())
        scale = ((self.high - self.low) / _LEVELS).clamp(min=1e-12)
        zero = (-self.low / scale).round()
        with torch.no_grad():
            rounded = ((values / scale).round() + zero).clamp(0, _LEVELS).sub(zero).mul(scale)
        kept = values.clamp(self.low, self.high)
        return _straight(kept, rounded)

    @torch.no_grad()
    def _follow(self, values: Tensor) -> None:
        low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
        first = self.low == self.high
        self.low.copy_(torch.where(first, low, self.low.lerp(low, _MOMENTUM)))
        self.high.copy_(torch.where(first, high, self.high.lerp(high, _MOMENTUM)))


def _round_input(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    values, *others = given
    return getattr(layer, _RANGED)(values), *others


@torch.no_grad()
def _layers_in_order(network: nn.Module, example: Tensor) -> list[nn.Conv2d | nn.Linear]:
    """Return the network's convolutions and linear layers in the order of computing, each once.

    Layers that are not called themselves, but whose weights are used, come before the last one;
    some attentions have such layers.
    """
    found: dict[nn.Conv2d | nn.Linear, None] = {}

    def note(layer: nn.Module, given: object) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        found.setdefault(layer)

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    was_training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    called = list(found)
    return [*called[:-1], *(layer for layer in layers if layer not in found), *called[-1:]]
