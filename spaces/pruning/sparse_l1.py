"""L1-driven pruning of single weights. Han et al. 2015, arXiv:1506.02626, section 3.1."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spaces.axes.pruning import TrainingPhase
from spaces.method import FloatRange, param
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.pruning.structured.masks import matrices


@dataclass(frozen=True)
class SparseL1(SparseMagnitude):
    """Sets the smallest weights to zero, once an L1 penalty has driven many of them there.

    The file holds the others and a bitmap. No runtime here computes any faster with zeros: it
    saves bytes alone.

    Source: Han et al. 2015, section 3.1, arXiv:1506.02626.
    """

    name: ClassVar[str] = "sparse_l1"
    sparsify: float = param(0.3, FloatRange(0.0, 1.0))
    strength: float = param(1e-5, FloatRange(1e-7, 1e-3, log=True))

    @property
    def training_share(self) -> float:
        return self.sparsify + self.recovery

    def preparation(self, network: nn.Module) -> Iterator[TrainingPhase]:
        if not self.sparsify:
            return
        weights = matrices(network)

        def penalty() -> Tensor:
            return self.strength * torch.stack([weight.abs().sum() for weight in weights]).sum()

        yield TrainingPhase(network, "sparsify", self.sparsify, penalty=penalty)
