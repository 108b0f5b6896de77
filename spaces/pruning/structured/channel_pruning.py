"""Common parameters of channel prunings: how many channels, in what scope, in how many rounds."""

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

# Of parameters, MACs and bytes, if layers compete: random weights against trained ones.
_COMPETING_ERROR = 0.25


@dataclass(frozen=True)
class ChannelPruning(Pruning):
    """Takes out the least important channels, of coupled layers together.

    The ratio is of channels, so that parameters fall about with its square.

    Attributes:
        ratio: share of the channels that is cut.
        recovery: epochs of training after the cuts, at the most, as a share of the training's.
        scope: what channels compete with: those of their `layer`, of all layers (`global`), or of
            all layers that are built alike (`isomorphic`; Fang et al. 2024, arXiv:2407.04616).
        rounds: in how many even steps they are cut, each followed by its part of the recovery.
        round_to: what the channels left are a multiple of, as runtimes' kernels like it; layers
            that have fewer keep them all.
        attention: whether an attention loses the same `width` in each head, or whole `heads`.

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
        """The ratio, if each layer loses exactly that share: its shapes are then known."""
        plain = self.scope == "layer" and self.round_to == 1 and self.attention == "width"
        return self.ratio if plain and self.scores_all else None

    @property
    def nominal_ratio(self) -> float:
        return self.ratio

    @property
    def shape_error(self) -> float:
        return 0.0 if self.scope == "layer" else _COMPETING_ERROR

    @property
    def scores_all(self) -> bool:
        """Whether every layer has an importance; a layer without one keeps its channels."""
        return True

    @abstractmethod
    def importance(self) -> Importance:
        """Return the function that scores a group of coupled channels."""

    def preparation(self, network: nn.Module, example: Tensor) -> Iterator[TrainingPhase]:
        """Yield phases of the uncut network; none by default."""
        del network, example
        return iter(())

    def weighed(self, network: nn.Module, losses: Losses | None) -> AbstractContextManager[object]:
        """Replace the weights, inside the context, by those to score; by default by themselves."""
        del network, losses
        return nullcontext()

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        network = copy.deepcopy(model)
        yield from self.preparation(network, example)
        cutter = Cutter(network, example, importance=self.importance(), plan=self._plan())
        for number in range(self.rounds):
            cutter.step(self.weighed(network, losses))
            is_last = number == self.rounds - 1
            yield TrainingPhase.recovery(network, self.recovery / self.rounds, is_last=is_last)
        if not cutter.cuts:
            raise ValueError(
                f"{self.name} must find channels to cut, but found none at ratio {self.ratio:g}, "
                f"scope {self.scope} and multiples of {self.round_to}"
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
