"""The moving average of a network's weights. Polyak and Juditsky 1992; timm's implementation."""

from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

# Bump it when weights are averaged differently.
VERSION = 1


class MovingAverage:
    """Moving average of a network's weights and statistics.

    In the first steps the decay is at most 1 - (1 + step)^(-2/3), so that the random initial
    weights quickly lose their influence.

    Args:
        network: the network whose weights are averaged.
        decay: the weight of the previous average at each step, above 0 and below 1.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self._network = network
        self._average = ModelEmaV3(network, decay=decay, use_warmup=True)

    def update(self, step: int) -> None:
        """Add the weights after a step to the average; steps count from 1."""
        self._average.update(self._network, step=step)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's weights with the average; a second call restores both."""
        own, average = self._network.state_dict(), self._average.module.state_dict()
        seen = set()
        for key, value in own.items():
            if value.numel() and value.data_ptr() in seen:
                continue  # `state_dict` lists shared weights once for each of their names
            seen.add(value.data_ptr())
            previous = value.clone()
            value.copy_(average[key])
            average[key].copy_(previous)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        state: dict[str, Any] = self._average.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self._average.module.load_state_dict(state)
