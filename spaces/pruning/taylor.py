"""Channel pruning by Taylor expansion. Molchanov et al. 2019, arXiv:1906.10771."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spaces.axes.pruning import Losses
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import magnitude
from spaces.pruning.structured.graph import Importance


@dataclass(frozen=True)
class Taylor(ChannelPruning):
    """Removal of the channels with the smallest effect on the loss, to first order.

    A channel's importance is the sum over its weights of (gradient · weight)², averaged over
    batches of training images.

    Source: Molchanov et al. 2019, equation 8, arXiv:1906.10771.
    """

    name: ClassVar[str] = "taylor"

    def importance(self) -> Importance:
        return magnitude(power=2)

    def weighed(self, network: nn.Module, losses: Losses | None) -> AbstractContextManager[object]:
        # Without images the caller needs only shapes, and these do not depend on the weights.
        return nullcontext() if losses is None else _sensitivities_as_weights(network, losses)


@contextmanager
def _sensitivities_as_weights(network: nn.Module, losses: Losses) -> Iterator[None]:
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
