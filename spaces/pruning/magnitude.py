"""Channel pruning by magnitude. Li et al. 2017, arXiv:1608.08710."""

from dataclasses import dataclass
from typing import ClassVar

from spaces.method import OneOf, param
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import magnitude
from spaces.pruning.structured.graph import Importance


@dataclass(frozen=True)
class Magnitude(ChannelPruning):
    """Removal of the channels with the smallest L1 or L2 norm.

    If the method prunes the same share of each layer, the shapes do not depend on the weights. The
    size and the MACs are then known before training.

    Source: Li et al. 2017, arXiv:1608.08710.
    """

    name: ClassVar[str] = "magnitude"
    norm: str = param("l2", OneOf(("l1", "l2")))

    def importance(self) -> Importance:
        return magnitude(power=1 if self.norm == "l1" else 2)
