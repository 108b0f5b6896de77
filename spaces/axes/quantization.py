"""The fifth axis: the number format in which the student is shipped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from spaces.method import Method

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaces.recipe import Recipe


@dataclass(frozen=True)
class Quantization(Method, ABC):
    """The number format in which the student is shipped."""

    axis: ClassVar[str] = "quantization"
    costless: ClassVar[frozenset[str]] = frozenset({"calibration", "tuning"})
    keeps_zeros: ClassVar[bool] = True
    """Whether weights that pruning set to zero stay so, and can be stored as what they are."""
    shrinks_steadily: ClassVar[bool] = True
    """Whether a file never gets larger by cutting more."""
    least_bits: ClassVar[float] = 1.0
    """For each number of a layer's weight the file has at least so many bits, whatever else."""

    def conflict(self, recipe: Recipe) -> str | None:
        if recipe.pruning.leaves_zeros and (self.tuning_share or not self.keeps_zeros):
            does = "trains every weight" if self.tuning_share else "stores zeros like other weights"
            return f"it {does}, so that nothing is left of pruning.{recipe.pruning.name}"
        return super().conflict(recipe)

    @property
    def size_error(self) -> float:
        """How much less a trained student's file may take than an untrained one's, relative to it.

        0 where it doesn't depend on what was learned.
        """
        return 0.0

    @property
    def tuning_share(self) -> float:
        """Epochs of training under the format's rounding, as a share of the training's epochs."""
        return 0.0

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        """While it lasts, `network` computes with the numbers of this format, and can be trained.

        Args:
            network: rounded in place; afterwards it has its own weights, trained on.
            example: one input, [1, channels, height, width].
        """
        return nullcontext()

    @abstractmethod
    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        """Writes the ONNX file `source` (float32) to `destination` in this format.

        Args:
            source: an ONNX file with one input.
            destination: a path in an existing folder.
            calibration: normalised training inputs, each [batch, channels, height, width], float32.
        """
