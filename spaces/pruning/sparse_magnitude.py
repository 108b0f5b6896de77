"""Magnitude pruning of single weights. Han et al. 2015, arXiv:1506.02626."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, IntRange, OneOf, param
from spaces.pruning.structured.masks import keeper, largest, matrices
from spaces.shrinks import SIZE_ONLY, Shrinks

# Of bytes: where weights compete, some layers are too dense to be stored sparsely.
_COMPETING_ERROR = 0.1


@dataclass(frozen=True)
class SparseMagnitude(Pruning):
    """Sets the smallest weights to zero; the file holds the others and a bitmap.

    No runtime here computes any faster with zeros: it saves bytes alone.

    Attributes:
        ratio: share of the weights of convolutions and linear layers that are set to zero.
        recovery: epochs of training with these zeros, at the most, as a share of the training's.
        scope: whether a weight competes with those of its `layer` or with all (`global`).
        rounds: in how many steps, each followed by its part of the recovery (Zhu & Gupta 2017,
            arXiv:1710.01878).

    Source: Han et al. 2015, arXiv:1506.02626.
    """

    name: ClassVar[str] = "sparse_magnitude"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    leaves_zeros: ClassVar[bool] = True
    ratio: float = param(0.7, FloatRange(0.2, 0.98))
    recovery: float = param(0.5, FloatRange(0.0, 1.0))
    scope: str = param("global", OneOf(("layer", "global")))
    rounds: int = param(1, IntRange(1, 8))

    @property
    def training_share(self) -> float:
        return self.recovery

    @property
    def shape_error(self) -> float:
        return _COMPETING_ERROR if self.scope == "global" else 0.0

    def preparation(self, network: nn.Module) -> Iterator[TrainingPhase]:
        """Yield phases of the dense network; none by default."""
        del network
        return iter(())

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        del example, losses
        network = copy.deepcopy(model)
        yield from self.preparation(network)
        for number in range(1, self.rounds + 1):
            # Weights that are zero already are the smallest, so they stay zero.
            share = self.ratio * number / self.rounds
            keep = keeper(largest(matrices(network), share, compete=self.scope == "global"))
            keep()
            yield TrainingPhase.recovery(
                network,
                self.recovery / self.rounds,
                is_last=number == self.rounds,
                constraint=keep,
            )
        return network, []
