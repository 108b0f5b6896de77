"""Masks of the weights to keep, and a function that sets the other weights to zero."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

# Mask of the elements to keep, bool, for each weight.
Masks = Mapping[Tensor, Tensor]


def matrices(network: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions and linear layers, which take most of the bytes."""
    return [
        module.weight for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]


def largest(weights: list[Tensor], ratio: float, *, compete: bool) -> Masks:
    """Return masks that keep the elements of largest magnitude.

    Args:
        weights: at least one tensor.
        ratio: share of the elements to remove.
        compete: whether the share applies to all tensors together, not to each tensor.
    """
    if not compete:
        return {weight: _largest(weight.detach().abs(), ratio) for weight in weights}
    flat = torch.cat([weight.detach().abs().flatten() for weight in weights])
    parts = torch.split(_largest(flat, ratio), [weight.numel() for weight in weights])
    return {weight: part.view(weight.shape) for weight, part in zip(weights, parts, strict=True)}


def two_of_four(weights: list[Tensor]) -> Masks:
    """Return masks that keep the two largest of each four neighbouring elements along the inputs.

    A tensor has no mask if its number of inputs is not a multiple of four, for example in depthwise
    convolutions, which have one input.
    """
    return {weight: _two_of_four(weight.detach()) for weight in weights if weight.shape[1] % 4 == 0}


def keeper(masks: Masks) -> Callable[[], None]:
    """Return a function that sets the elements outside the masks to zero."""
    on_device = dict(masks)

    @torch.no_grad()
    def keep() -> None:
        for weight, mask in on_device.items():
            if mask.device != weight.device:
                on_device[weight] = mask = mask.to(weight.device)
            weight.mul_(mask)

    return keep


def _largest(magnitudes: Tensor, ratio: float) -> Tensor:
    flat = magnitudes.flatten()
    mask = torch.ones_like(flat, dtype=torch.bool)
    # The sort is stable, so that the result for equal magnitudes is the same on all machines.
    mask[flat.argsort(stable=True)[: int(ratio * len(flat))]] = False
    return mask.view(magnitudes.shape)


def _two_of_four(weight: Tensor) -> Tensor:
    groups = weight.abs().movedim(1, -1)
    groups = groups.reshape(*groups.shape[:-1], -1, 4)
    # The first argsort gives the order, largest first; the argsort of the order gives the ranks.
    ranks = groups.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    mask: Tensor = ranks < 2
    return mask.flatten(-2).movedim(-1, 1)
