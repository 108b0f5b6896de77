"""Two of four weights. Mishra et al. 2021, arXiv:2104.08378."""

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
    """Sets two of each four neighbouring weights along the inputs to zero, the smaller ones.

    GPUs with sparse tensor cores compute such layers faster, but not by ONNX Runtime: here it saves
    bytes alone. Layers whose number of inputs four does not divide stay dense.

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
                "sparse_2_4 must find layers with inputs in fours, but this "
                f"{type(model).__name__} has none"
            )
        keep = keeper(masks)
        keep()
        yield TrainingPhase.recovery(network, self.recovery, constraint=keep)
        return network, []
