"""Masks of weights: which weights are zero, and a function that keeps them zero."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

# Elements that stay, by weight.
Masks = Mapping[Tensor, Tensor]


def matrices(network: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions and linear layers, which take nearly all bytes."""
    return [
        module.weight for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]


def largest(weights: list[Tensor], ratio: float, *, compete: bool) -> Masks:
    """Return masks that keep the elements of largest magnitude.

    Args:
        weights: at least one.
        ratio: share of the elements to remove.
        compete: whether the share applies to all weights together, not to each weight.
    """
    if not compete:
        return {weight: _largest(weight.detach().abs(), ratio) for weight in weights}
    line = torch.cat([weight.detach().abs().flatten() for weight in weights])
    parts = torch.split(_largest(line, ratio), [weight.numel() for weight in weights])
    return {weight: part.view(weight.shape) for weight, part in zip(weights, parts, strict=True)}


def two_of_four(weights: list[Tensor]) -> Masks:
    """Return masks that keep the two largest of each four neighbours along the inputs.

    A weight stays whole if four does not divide its number of inputs; so do the weights of
    depthwise convolutions, which have one input.
    """
    return {weight: _two_of_four(weight.detach()) for weight in weights if weight.shape[1] % 4 == 0}


def keeper(masks: Masks) -> Callable[[], None]:
    """Return a function that sets the masked elements to zero each time that it is called."""
    moved = dict(masks)

    @torch.no_grad()
    def keep() -> None:
        for weight, mask in moved.items():
            if mask.device != weight.device:
                moved[weight] = mask = mask.to(weight.device)
            weight.mul_(mask)

    return keep


def _largest(magnitudes: Tensor, ratio: float) -> Tensor:
    line = magnitudes.flatten()
    mask = torch.ones_like(line, dtype=torch.bool)
    # The order is stable, so that among equals the first ones go on every machine.
    mask[line.argsort(stable=True)[: int(ratio * len(line))]] = False
    return mask.view(magnitudes.shape)


def _two_of_four(weight: Tensor) -> Tensor:
    fours = weight.abs().movedim(1, -1)
    fours = fours.reshape(*fours.shape[:-1], -1, 4)
    # First the order of each four, largest first; the order of that is each one's rank.
    ranks = fours.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    mask: Tensor = ranks < 2
    return mask.flatten(-2).movedim(-1, 1)
