"""Common parameters of channel prunings: the ratio, the scope and the number of rounds."""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, IntRange, OneOf, param
from spaces.pruning.structured.channels import CutPlan, Cutter
from spaces.pruning.structured.graph import Importance
from spaces.shrinks import EVERYWHERE, Shrinks

# Relative error of parameters, MACs and bytes if layers compete: random against trained weights.
_COMPETING_ERROR = 0.25


@dataclass(frozen=True)
class ChannelPruning(Pruning):
    """Removal of the least important channels, together in all coupled layers.

    The share of remaining parameters is about the square of the share of remaining channels.

    Attributes:
        ratio: share of the channels to prune.
        recovery: number of epochs of training after the pruning, as a share of the
            training's epochs.
        scope: channels to compare: those of the same `layer`, of all layers (`global`), or of all
            layers with the same structure (`isomorphic`; Fang et al. 2024, arXiv:2407.04616).
        rounds: number of equal pruning steps; an equal part of the recovery follows each step.
        round_to: the number of remaining channels is a multiple of it, because runtimes compute
            such layers faster. Layers with fewer channels keep all channels.
        attention: part of an attention to prune: the same `width` of each head, or whole `heads`.

    Source: Fang et al. 2023 (DepGraph), arXiv:2301.12900.
    """

    shrinks: ClassVar[Shrinks] = EVERYWHERE
    ratio: float = param(0.3, FloatRange(0.05, 0.9))
    recovery: float = param(0.5, FloatRange(0.0, 1.0))
    scope: str = param("layer", OneOf(("layer", "global", "isomorphic")))
    rounds: int = param(1, IntRange(1, 8))
    round_to: int = param(1, OneOf((1, 2, 4, 8, 16)))
    attention: str = param("width", OneOf(("width", "heads")))

    @property
    def training_share(self) -> float:
        return self.recovery

    @property
    def uniform_ratio(self) -> float | None:
        """The ratio if the method prunes exactly this share of each layer, otherwise None."""
        is_uniform = self.scope == "layer" and self.round_to == 1 and self.attention == "width"
        return self.ratio if is_uniform and self.scores_all else None

    @property
    def nominal_ratio(self) -> float:
        return self.ratio

    @property
    def shape_error(self) -> float:
        return 0.0 if self.scope == "layer" else _COMPETING_ERROR

    @property
    def scores_all(self) -> bool:
        """Whether each channel has an importance; a channel without one is kept."""
        return True

    @abstractmethod
    def importance(self) -> Importance:
        """Return the function that computes the importance of a group of coupled channels."""

    def preparation(self, network: nn.Module, example: Tensor) -> Iterator[TrainingPhase]:
        """Yield the phases of training before the pruning; none by default."""
        del network, example
        return iter(())

    def weighed(self, network: nn.Module, losses: Losses | None) -> AbstractContextManager[object]:
        """Replace the weights by the values to score, inside the context; no change by default."""
        del network, losses
        return nullcontext()

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        network = copy.deepcopy(model)
        yield from self.preparation(network, example)
        cutter = Cutter(network, example, importance=self.importance(), plan=self._plan())
        for _ in range(self.rounds):
            cutter.step(self.weighed(network, losses))
            yield TrainingPhase.recovery(network, self.recovery / self.rounds)
        if not cutter.cuts:
            raise ValueError(
                f"{self.name} must find channels to prune, but found none for ratio "
                f"{self.ratio:g}, scope {self.scope} and round_to {self.round_to}: choose a larger "
                "ratio, a smaller round_to or another student"
            )
        return network, cutter.cuts

    def _plan(self) -> CutPlan:
        return CutPlan(
            ratio=self.ratio,
            steps=self.rounds,
            scope=self.scope,
            round_to=self.round_to,
            whole_heads=self.attention == "heads",
        )
