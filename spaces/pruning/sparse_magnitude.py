"""Unstructured magnitude pruning. Han et al. 2015, arXiv:1506.02626."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, IntRange, OneOf, param
from spaces.pruning.structured.masks import keeper, largest, matrices
from spaces.shrinks import SIZE_ONLY, Shrinks

# Relative error of bytes: if all layers compete, some layers are too dense for sparse storage.
_COMPETING_ERROR = 0.1


@dataclass(frozen=True)
class SparseMagnitude(Pruning):
    """Unstructured pruning: the smallest weights become zero, and the file stores them sparsely.

    The file stores a bitmap and the nonzero weights. Zeros do not make retort's runtimes faster, so
    the method reduces only the file size.

    Attributes:
        ratio: share of the weights of convolutions and linear layers to set to zero.
        recovery: number of epochs of training with these zeros, as a share of the
            training's epochs.
        scope: weights to compare: those of the same `layer`, or all weights (`global`).
        rounds: number of pruning steps; an equal part of the recovery follows each step (Zhu &
            Gupta 2017, arXiv:1710.01878).

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
        """Yield the phases of training before the pruning; none by default."""
        del network
        return iter(())

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        del example, losses
        network = copy.deepcopy(model)
        yield from self.preparation(network)
        for number in range(1, self.rounds + 1):
            # The zeros of earlier rounds are the smallest weights, so they stay zero.
            share = self.ratio * number / self.rounds
            keep = keeper(largest(matrices(network), share, compete=self.scope == "global"))
            keep()
            yield TrainingPhase.recovery(
                network,
                self.recovery / self.rounds,
                constraint=keep,
            )
        return network, []
