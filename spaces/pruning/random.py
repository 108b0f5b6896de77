"""Random channel pruning, the baseline for other prunings. Mittal et al. 2018, arXiv:1801.10447."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch_pruning
from torch import Tensor

from spaces.method import IntRange, param
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.graph import Importance


@dataclass(frozen=True)
class Random(ChannelPruning):
    """Removal of randomly chosen channels.

    `draw` is the seed of the random choice.

    Source: Mittal et al. 2018, arXiv:1801.10447.
    """

    name: ClassVar[str] = "random"
    draw: int = param(0, IntRange(0, 9))

    def importance(self) -> Importance:
        generator = torch.Generator().manual_seed(self.draw)

        def random_scores(group: torch_pruning.Group) -> Tensor:
            _, channels = group[0]
            return torch.rand(len(channels), generator=generator)

        return random_scores
