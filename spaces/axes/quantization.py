"""The fifth axis: the number format of the student's model file."""

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
    """The number format of the student's model file."""

    axis: ClassVar[str] = "quantization"
    costless: ClassVar[frozenset[str]] = frozenset(
        {"calibration", "tuning", "equalization", "migration", "rounding", "bias_correction"}
    )
    keeps_zeros: ClassVar[bool] = True
    """Whether zeros from pruning stay zero, so that the file can store them sparsely."""
    shrinks_steadily: ClassVar[bool] = True
    """Whether a larger pruning ratio never gives a larger file."""
    least_bits: ClassVar[float] = 1.0
    """Smallest number of bits in the file for each weight of a layer."""

    def conflict(self, recipe: Recipe) -> str | None:
        if recipe.pruning.leaves_zeros and (self.tuning_share or not self.keeps_zeros):
            effect = "trains all weights" if self.tuning_share else "stores zeros as other values"
            return (
                f"it must keep the zeros of pruning.{recipe.pruning.name}, but it {effect}: choose "
                "another number format or another pruning"
            )
        return super().conflict(recipe)

    @property
    def size_error(self) -> float:
        """Largest relative reduction of a trained student's file against an untrained student's.

        It is 0 if the size does not depend on the weights.
        """
        return 0.0

    @property
    def tuning_share(self) -> float:
        """Epochs of quantization-aware training, as a share of the training's epochs."""
        return 0.0

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        """Apply this format's fake quantization to `network` inside the context, for training.

        Args:
            network: changed in place. After the context it has its unquantized weights, with the
                changes of the training.
            example: one input, [1, channels, height, width].
        """
        return nullcontext()

    @abstractmethod
    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        """Convert the float32 ONNX file `source` to this format, and write it to `destination`.

        Args:
            source: an ONNX file with one input.
            destination: a path in an existing folder.
            calibration: normalised training inputs, each [batch, channels, height, width], float32.
        """
