"""Magnitude pruning of channels. Li et al. 2017, arXiv:1608.08710."""

from dataclasses import dataclass
from typing import ClassVar

from spaces.method import OneOf, param
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import magnitude
from spaces.pruning.structured.graph import Importance


@dataclass(frozen=True)
class Magnitude(ChannelPruning):
    """Takes out the channels with the smallest L1 or L2 norm.

    Where each layer loses the same share, shapes don't depend on the weights, and with them size
    and MACs: they are known before training.

    Source: Li et al. 2017, arXiv:1608.08710.
    """

    name: ClassVar[str] = "magnitude"
    norm: str = param("l2", OneOf(("l1", "l2")))

    def importance(self) -> Importance:
        return magnitude(power=1 if self.norm == "l1" else 2)
