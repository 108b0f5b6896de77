"""Depth pruning: removal of residual blocks. Elkerdawy et al. 2020, arXiv:2011.02952."""

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

# Relative difference in cost between the blocks of a network: training determines their order.
_EFFECT_ERROR = 0.5


@dataclass(frozen=True)
class Depth(Pruning):
    """Depth pruning: removal of whole residual blocks.

    The method removes only blocks whose input and output have the same shape, and at least one
    block. An identity replaces each pruned block.

    Attributes:
        ratio: share of these blocks to remove.
        order: rule for the choice of the blocks: blocks at even distances (`position`), or blocks
            whose removal gives the lowest loss on training images (`effect`).
        recovery: number of epochs of training after the pruning, as a share of the
            training's epochs.

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
                "depth must find residual blocks that keep the shape of their input, but this "
                f"{type(model).__name__} has none: choose another student or another pruning"
            )
        network = copy.deepcopy(model)
        count = max(1, int(self.ratio * len(blocks)))
        if self.order == "effect" and losses is not None:
            chosen = _by_loss_without(network, blocks, losses)[:count]
        else:
            chosen = [blocks[int((place + 0.5) * len(blocks) / count)] for place in range(count)]
        cuts: list[Cut] = [(name, CutSide.ALL, []) for name in blocks if name in chosen]
        replay_cuts(network, example, cuts)
        yield TrainingPhase.recovery(network, self.recovery)
        return network, cuts


def _by_loss_without(network: nn.Module, blocks: list[str], losses: Losses) -> list[str]:
    """Return the blocks, sorted by the network's loss without the block, lowest first."""

    @torch.no_grad()
    def loss(block: str) -> float:
        with without(network, block):
            return sum(float(value) for value in losses(network))

    return sorted(blocks, key=loss)
