"""The fifth axis: the number format of the shipped student."""

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
    """The number format of the shipped student."""

    axis: ClassVar[str] = "quantization"
    costless: ClassVar[frozenset[str]] = frozenset({"calibration", "tuning"})
    keeps_zeros: ClassVar[bool] = True
    """Whether weights that pruning set to zero stay zero, so that they can be stored sparsely."""
    shrinks_steadily: ClassVar[bool] = True
    """Whether a larger cut never gives a larger file."""
    least_bits: ClassVar[float] = 1.0
    """Least number of bits that the file has for each number of a layer's weight."""

    def conflict(self, recipe: Recipe) -> str | None:
        if recipe.pruning.leaves_zeros and (self.tuning_share or not self.keeps_zeros):
            does = "trains every weight" if self.tuning_share else "stores zeros like other weights"
            return f"it {does}, so that nothing is left of pruning.{recipe.pruning.name}"
        return super().conflict(recipe)

    @property
    def size_error(self) -> float:
        """Largest relative saving of a trained student's file against an untrained one's.

        0 if the size doesn't depend on the training.
        """
        return 0.0

    @property
    def tuning_share(self) -> float:
        """Epochs of training under the format's rounding, as a share of the training's epochs."""
        return 0.0

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        """Make `network` compute with this format's numbers inside the context; it can be trained.

        Args:
            network: rounded in place; afterwards it has its own weights, as training changed them.
            example: one input, [1, channels, height, width].
        """
        return nullcontext()

    @abstractmethod
    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        """Write the ONNX file `source` (float32) to `destination` in this format.

        Args:
            source: an ONNX file with one input.
            destination: a path in an existing folder.
            calibration: normalised training inputs, each [batch, channels, height, width], float32.
        """
