"""2:4 sparsity: two zeros in each group of four weights. Mishra et al. 2021, arXiv:2104.08378."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spaces.axes.pruning import Losses, Pruning, PruningSteps, TrainingPhase
from spaces.method import FloatRange, param
from spaces.pruning.structured.masks import keeper, matrices, two_of_four
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class SparseTwoOfFour(Pruning):
    """2:4 sparsity: the two smaller weights in each group of four along the inputs become zero.

    GPUs with sparse tensor cores can compute such layers faster, but ONNX Runtime does not use
    them, so the method reduces only the file size. Layers stay dense if their number of inputs is
    not a multiple of four.

    Source: Mishra et al. 2021, arXiv:2104.08378.
    """

    name: ClassVar[str] = "sparse_2_4"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    leaves_zeros: ClassVar[bool] = True
    recovery: float = param(0.5, FloatRange(0.0, 1.0))

    @property
    def training_share(self) -> float:
        return self.recovery

    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        del example, losses
        network = copy.deepcopy(model)
        masks = two_of_four(matrices(network))
        if not masks:
            raise ValueError(
                "sparse_2_4 must find layers whose number of inputs is a multiple of 4, but this "
                f"{type(model).__name__} has none: choose another student or another pruning"
            )
        keep = keeper(masks)
        keep()
        yield TrainingPhase.recovery(network, self.recovery, constraint=keep)
        return network, []
