"""Channel pruning by the scale of normalisation layers. Liu et al. 2017, arXiv:1708.06519."""

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
    """Network slimming: removal of the channels with the smallest normalisation scales.

    Before the pruning, the student is trained with an L1 penalty on the scales, which drives many
    of them to zero. `sparsify` is the number of epochs of this training, as a share of the
    training's epochs, and `strength` is the factor of the penalty. The method uses the scales of
    batch and layer normalisations. It keeps channels without such a scale, for example the channels
    inside the blocks of a vision transformer.

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
