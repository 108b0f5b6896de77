"""Pruning of channels by the scale of their normalisation. Liu et al. 2017, arXiv:1708.06519."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spaces.axes.pruning import TrainingPhase
from spaces.method import FloatRange, param
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import NORMALISATIONS, magnitude
from spaces.pruning.structured.graph import Importance


@dataclass(frozen=True)
class BatchNormScale(ChannelPruning):
    """Takes out the channels that their normalisation scales down most (network slimming).

    First the student is trained on with an L1 penalty on the scales, which drives many of them to
    zero. Layer normalisations count as batch normalisations do; channels that pass through neither
    stay, such as those within the blocks of a vision transformer.

    Source: Liu et al. 2017, arXiv:1708.06519.
    """

    name: ClassVar[str] = "bn_scale"
    sparsify: float = param(0.3, FloatRange(0.0, 1.0))
    strength: float = param(1e-4, FloatRange(1e-6, 1e-2, log=True))

    @property
    def training_share(self) -> float:
        return self.sparsify + self.recovery

    @property
    def scores_all(self) -> bool:
        return False

    def importance(self) -> Importance:
        return magnitude(power=1, of=NORMALISATIONS)

    def preparation(self, network: nn.Module, example: Tensor) -> Iterator[TrainingPhase]:
        if not self.sparsify:
            return
        scales = [
            module.weight
            for module in network.modules()
            if isinstance(module, NORMALISATIONS) and module.weight is not None
        ]

        def penalty() -> Tensor:
            return self.strength * torch.cat([*scales]).abs().sum()

        yield TrainingPhase(network, "sparsify", self.sparsify, penalty=penalty)
