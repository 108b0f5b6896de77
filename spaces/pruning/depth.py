"""Pruning of whole residual blocks. Elkerdawy et al. 2020, arXiv:2011.02952."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spaces.axes.pruning import Cut, CutSide, Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, OneOf, param
from spaces.pruning.structured.blocks import residual_blocks, without
from spaces.pruning.structured.cuts import replay_cuts
from spaces.pruning.structured.graph import as_value_errors
from spaces.shrinks import EVERYWHERE, Shrinks

# Relative difference in cost between blocks of one network: other blocks than predicted may go.
_EFFECT_ERROR = 0.5


@dataclass(frozen=True)
class Depth(Pruning):
    """Takes out residual blocks, so that there are fewer layers one after another.

    Only blocks that keep the shape of what they add to can go, and at least one goes. Where a
    block is left out, what it is given goes on unchanged.

    Attributes:
        ratio: share of those blocks that is taken out.
        order: which go: those at even distances (`position`), or those without which the loss on
            training images is lowest (`effect`).
        recovery: epochs of training afterwards, at the most, as a share of the training's.

    Source: Elkerdawy et al. 2020, arXiv:2011.02952; Veit et al. 2016, arXiv:1605.06431.
    """

    name: ClassVar[str] = "depth"
    shrinks: ClassVar[Shrinks] = EVERYWHERE
    ratio: float = param(0.3, FloatRange(0.05, 0.9))
    order: str = param("position", OneOf(("position", "effect")))
    recovery: float = param(0.5, FloatRange(0.0, 1.0))

    @property
    def training_share(self) -> float:
        return self.recovery

    @property
    def shape_error(self) -> float:
        return 0.0 if self.order == "position" else _EFFECT_ERROR

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        with as_value_errors(model):
            blocks = residual_blocks(model, example)
        if not blocks:
            raise ValueError(
                f"depth must find residual blocks that keep their shape, but this "
                f"{type(model).__name__} has none"
            )
        network = copy.deepcopy(model)
        count = max(1, int(self.ratio * len(blocks)))
        if self.order == "effect" and losses is not None:
            chosen = _least_missed(network, blocks, losses)[:count]
        else:
            chosen = [blocks[int((place + 0.5) * len(blocks) / count)] for place in range(count)]
        cuts: list[Cut] = [(name, CutSide.ALL, []) for name in blocks if name in chosen]
        replay_cuts(network, example, cuts)
        yield TrainingPhase.recovery(network, self.recovery)
        return network, cuts


def _least_missed(network: nn.Module, blocks: list[str], losses: Losses) -> list[str]:
    """Return the blocks, those first whose removal leaves the lowest loss."""

    @torch.no_grad()
    def loss(block: str) -> float:
        with without(network, block):
            return sum(float(value) for value in losses(network))

    return sorted(blocks, key=loss)
