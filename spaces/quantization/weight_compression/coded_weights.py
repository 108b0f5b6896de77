"""Base class of the number formats that store weights as indices into a few levels."""

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from spaces.axes.quantization import Quantization
from spaces.quantization.qat import rounded_weights
from spaces.quantization.weight_compression.codes import Codes
from spaces.quantization.weight_compression.weights import code_weights, worth_coding
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class CodedWeights(Quantization):
    """A number format that stores weights as codes; the runtime decodes them to float32."""

    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    keeps_zeros: ClassVar[bool] = False
    # Pruning can leave a layer with too few weights per channel: it then stays in float32.
    shrinks_steadily: ClassVar[bool] = False
    codes_ends: ClassVar[bool] = True
    """Whether to code the first and the last layer too."""

    @abstractmethod
    def codes(self, weights: Tensor) -> Codes:
        """Return the codes of weights, [channels, weights]."""

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # only weights are quantized
        code_weights(source, destination, self.codes, ends=self.codes_ends)


@dataclass(frozen=True)
class TunedCodes(CodedWeights):
    """A coded format with quantization-aware training.

    Attributes:
        tuning: number of epochs of this training, as a share of the training's epochs.
    """

    tuning: float

    @property
    def tuning_share(self) -> float:
        return self.tuning

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        return rounded_weights(
            network,
            example,
            lambda weights: self.codes(weights).values(),
            ends=self.codes_ends,
            worth=worth_coding,
        )
