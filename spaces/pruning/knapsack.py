"""Channel pruning by the effect on the loss for each weight or operation. arXiv:2002.08258."""

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, IntRange, OneOf, param
from spaces.pruning.structured.channels import total_square
from spaces.pruning.structured.costs import MACS, PARAMETERS
from spaces.pruning.structured.knapsack import KnapsackCutter
from spaces.pruning.structured.sensitivities import sensitivities_as_weights
from spaces.shrinks import EVERYWHERE, Shrinks

# Relative difference between an untrained and a trained student: the share of the counted cost is
# nearly the same, but the layers that lose channels differ, and with them the other costs.
_COUNTED_ERROR, _OTHER_ERROR = 0.05, 0.5
_COUNTED = {PARAMETERS: ("parameters", "size"), MACS: ("macs",)}


@dataclass(frozen=True)
class Knapsack(Pruning):
    """Removal of the channels with the smallest effect on the loss for what they cost.

    The channels of all layers compete, so each layer loses as many as it can spare: a pretrained
    network loses few channels of its early layers, and most of those that only its other classes
    needed. A channel's effect is the sum over its weights of (gradient · weight)², averaged over
    batches of training images. Each layer keeps at least a twentieth of its channels.

    Attributes:
        ratio: share of the network's cost to remove.
        cost: the cost to count: weights (`parameters`), for a budget of bytes, or
            multiply-accumulate operations (`macs`), for a budget of time.
        recovery: number of epochs of training after the pruning, as a share of the
            training's epochs.
        rounds: number of equal pruning steps; an equal part of the recovery follows each step.
        round_to: the number of remaining channels is a multiple of it, because runtimes compute
            such layers faster. Layers with fewer channels keep all channels.

    Source: Aflalo et al. 2020, arXiv:2002.08258; the effect: Molchanov et al. 2019, equation 8,
    arXiv:1906.10771.
    """

    name: ClassVar[str] = "knapsack"
    shrinks: ClassVar[Shrinks] = EVERYWHERE
    ratio: float = param(0.5, FloatRange(0.05, 0.9))
    cost: str = param(PARAMETERS, OneOf((PARAMETERS, MACS)))
    recovery: float = param(0.5, FloatRange(0.0, 1.0))
    rounds: int = param(1, IntRange(1, 8))
    round_to: int = param(1, OneOf((1, 2, 4, 8, 16)))

    @property
    def training_share(self) -> float:
        return self.recovery

    @property
    def nominal_ratio(self) -> float:
        # Each layer's weights and operations are about the square of its share of channels.
        return 1 - math.sqrt(1 - self.ratio)

    @property
    def shape_error(self) -> float:
        return _OTHER_ERROR

    def cost_error(self, limit: str) -> float:
        return _COUNTED_ERROR if limit in _COUNTED[self.cost] else _OTHER_ERROR

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        network = copy.deepcopy(model)
        cutter = KnapsackCutter(
            network, example, importance=total_square(), unit=self.cost, round_to=self.round_to
        )

        def weighed() -> AbstractContextManager[object]:
            # Without images the caller needs only shapes: these are as small for other weights.
            return nullcontext() if losses is None else sensitivities_as_weights(network, losses)

        whole = cutter.cost
        for place in range(1, self.rounds + 1):
            cutter.step_to(whole * (1 - self.ratio * place / self.rounds), weighed)
            yield TrainingPhase.recovery(network, self.recovery / self.rounds)
        if cutter.cost > whole * (1 - self.ratio):
            raise ValueError(
                f"knapsack must find channels of {self.ratio:.0%} of the {self.cost} to prune, but "
                f"only {1 - cutter.cost / whole:.0%} can be pruned with round_to "
                f"{self.round_to}: choose a smaller ratio, a smaller round_to or another student"
            )
        return network, cutter.cuts
