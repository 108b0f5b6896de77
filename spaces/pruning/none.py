"""No pruning."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Operation, Pruning
from spaces.shrinks import NOTHING, Shrinks


@dataclass(frozen=True)
class NoPruning(Pruning):
    """Every channel stays."""

    name: ClassVar[str] = "none"
    shrinks: ClassVar[Shrinks] = NOTHING

    @property
    def training_share(self) -> float:
        return 0.0

    @property
    def uniform_ratio(self) -> float:
        return 0.0

    def operate(self, model: nn.Module, example: Tensor, *, losses: Losses | None) -> Operation:
        yield from ()
        return copy.deepcopy(model), []
