"""The moving average of a network's weights."""

import torch
from torch import nn

from search.training.ema import MovingAverage


class _Tied(nn.Module):
    """A layer that has two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(2, 2, bias=False)
        self.other = self.one


def test_weights_that_have_two_names_are_exchanged_once() -> None:
    network = _Tied()
    start = network.one.weight.detach().clone()
    average = MovingAverage(network, decay=0.9)
    with torch.no_grad():
        network.one.weight += 1
    average.swap()
    assert torch.equal(network.one.weight, start)
    average.swap()
    assert torch.equal(network.one.weight, start + 1)
