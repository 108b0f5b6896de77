"""Unstructured pruning with an L1 penalty. Han et al. 2015, arXiv:1506.02626, section 3.1."""

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
    """Unstructured pruning: the smallest weights become zero after training with an L1 penalty.

    The file stores a bitmap and the nonzero weights. Zeros do not make retort's runtimes faster, so
    the method reduces only the file size. `sparsify` is the number of epochs with the penalty, as a
    share of the training's epochs, and `strength` is the factor of the penalty.

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
