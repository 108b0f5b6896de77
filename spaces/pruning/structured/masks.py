"""Weights that are zero and stay so: which they are, and what keeps them there."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

# Which elements stay, by the weight.
Masks = Mapping[Tensor, Tensor]


def matrices(network: nn.Module) -> list[Tensor]:
    """The weights of convolutions and linear layers, of which nearly all bytes are."""
    return [
        module.weight for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]


def largest(weights: list[Tensor], ratio: float, *, compete: bool) -> Masks:
    """Leaves the largest by magnitude.

    Args:
        weights: at least one.
        ratio: share of the elements that go.
        compete: whether the share is of all weights together, and not of each.
    """
    if not compete:
        return {weight: _largest(weight.detach().abs(), ratio) for weight in weights}
    line = torch.cat([weight.detach().abs().flatten() for weight in weights])
    parts = torch.split(_largest(line, ratio), [weight.numel() for weight in weights])
    return {weight: part.view(weight.shape) for weight, part in zip(weights, parts, strict=True)}


def two_of_four(weights: list[Tensor]) -> Masks:
    """Leaves the two largest of each four neighbours along the inputs.

    Weights of a number of inputs that four does not divide are left whole, as are those of
    depthwise convolutions, which have one.
    """
    return {weight: _two_of_four(weight.detach()) for weight in weights if weight.shape[1] % 4 == 0}


def keeper(masks: Masks) -> Callable[[], None]:
    """What sets to zero whatever the masks say, each time that it is called."""
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
    # A stable order, so that of equals the first go wherever this runs.
    mask[line.argsort(stable=True)[: int(ratio * len(line))]] = False
    return mask.view(magnitudes.shape)


def _two_of_four(weight: Tensor) -> Tensor:
    fours = weight.abs().movedim(1, -1)
    fours = fours.reshape(*fours.shape[:-1], -1, 4)
    # The order of each four, largest first; the rank of each is the order of that.
    ranks = fours.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    mask: Tensor = ranks < 2
    return mask.flatten(-2).movedim(-1, 1)
