"""Channel pruning with a group lasso over coupled layers. Wen et al. 2016, arXiv:1608.03665."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spaces.axes.pruning import TrainingPhase
from spaces.method import FloatRange, param
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import magnitude
from spaces.pruning.structured.graph import Importance
from spaces.pruning.structured.groups import find_groups

# The penalty adds it to squared norms, because the square root has no gradient at zero.
_EPSILON = 1e-12


@dataclass(frozen=True)
class GroupLasso(ChannelPruning):
    """Removal of the channels with the smallest L2 norm after training with a group-lasso penalty.

    Before the pruning, the student is trained with a penalty on the L2 norm of each channel. The
    norm covers the channel's weights in all coupled layers, so the penalty drives whole channels
    towards zero. `sparsify` is the number of epochs of this training, as a share of the training's
    epochs, and `strength` is the factor of the penalty.

    Source: Wen et al. 2016, arXiv:1608.03665; Fang et al. 2023, section 3.3, arXiv:2301.12900.
    """

    name: ClassVar[str] = "group_lasso"
    sparsify: float = param(0.3, FloatRange(0.0, 1.0))
    strength: float = param(1e-4, FloatRange(1e-6, 1e-2, log=True))

    @property
    def training_share(self) -> float:
        return self.sparsify + self.recovery

    def importance(self) -> Importance:
        return magnitude(power=2)

    def preparation(self, network: nn.Module, example: Tensor) -> Iterator[TrainingPhase]:
        if not self.sparsify:
            return
        groups = find_groups(network, example)

        def penalty() -> Tensor:
            norms = [(group.square_norms() + _EPSILON).sqrt().sum() for group in groups]
            return self.strength * torch.stack(norms).sum()

        yield TrainingPhase(network, "sparsify", self.sparsify, penalty=penalty)
