"""How sensitive the loss is to each weight, to first order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spaces.axes.pruning import Losses


@contextmanager
def sensitivities_as_weights(network: nn.Module, losses: Losses) -> Iterator[None]:
    """Replace the weights by their sensitivities, inside the context."""
    weights = {parameter: parameter.data for parameter in network.parameters()}
    for parameter, value in _sensitivities(network, losses).items():
        parameter.data = value
    try:
        yield
    finally:
        for parameter, value in weights.items():
            parameter.data = value


def _sensitivities(network: nn.Module, losses: Losses) -> dict[nn.Parameter, Tensor]:
    """Return the root mean square of gradient times weight over the batches, for each weight."""
    parameters = list(network.parameters())
    squares = [torch.zeros_like(parameter, device="cpu") for parameter in parameters]
    count = 0
    for loss in losses(network):
        # The loss may not depend on some weights, such as those of a distillation token.
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for square, parameter, gradient in zip(squares, parameters, gradients, strict=True):
            if gradient is not None:
                square += (gradient * parameter.detach()).cpu() ** 2
        count += 1
    return {
        parameter: (square / max(1, count)).sqrt()
        for parameter, square in zip(parameters, squares, strict=True)
    }
