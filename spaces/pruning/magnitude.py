"""Magnitude pruning of channels. Li et al. 2017, arXiv:1608.08710; DepGraph, arXiv:2301.12900."""

from dataclasses import dataclass
from typing import ClassVar

import torch_pruning
from torch import Tensor, nn

from spaces.axes import Cut, Pruning
from spaces.channels import cut_channels
from spaces.choice import FloatRange, param
from spaces.shrinks import EVERYWHERE, Shrinks


@dataclass(frozen=True)
class Magnitude(Pruning):
    """Takes out the channels with the smallest L2 norm, the same share of every layer.

    Coupled layers are cut together along the dependency graph. The ratio is of channels, so
    parameters fall about with its square. A uniform share makes the shapes, and with them size and
    MACs, independent of the weights: they are known before training.

    Source: Li et al. 2017, arXiv:1608.08710; Fang et al. 2023 (DepGraph), arXiv:2301.12900.
    """

    name: ClassVar[str] = "magnitude"
    shrinks: ClassVar[Shrinks] = EVERYWHERE
    ratio: float = param(0.3, FloatRange(0.05, 0.9))
    recovery: float = param(0.5, FloatRange(0.0, 1.0))

    @property
    def recovery_share(self) -> float:
        return self.recovery

    @property
    def uniform_ratio(self) -> float:
        return self.ratio

    def apply(self, model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        return cut_channels(model, example, importance=importance, ratio=self.ratio)
