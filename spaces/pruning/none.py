"""No pruning."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps
from spaces.shrinks import NOTHING, Shrinks


@dataclass(frozen=True)
class NoPruning(Pruning):
    """No pruning: the student keeps all channels."""

    name: ClassVar[str] = "none"
    shrinks: ClassVar[Shrinks] = NOTHING

    @property
    def training_share(self) -> float:
        return 0.0

    @property
    def uniform_ratio(self) -> float:
        return 0.0

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        yield from ()
        return copy.deepcopy(model), []
