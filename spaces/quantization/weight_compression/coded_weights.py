"""Common base of the formats that store weights as indices into a few levels."""

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
    """A format whose weights are codes in the file, and floats again once it is loaded."""

    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    keeps_zeros: ClassVar[bool] = False
    shrinks_steadily: ClassVar[bool] = False  # channels with too few numbers are not coded
    codes_ends: ClassVar[bool] = True
    """Whether the first and the last layer are coded as well."""

    @abstractmethod
    def codes(self, weights: Tensor) -> Codes:
        """Return the codes of weights [channels, numbers]."""

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # only weights are rounded
        code_weights(source, destination, self.codes, ends=self.codes_ends)


@dataclass(frozen=True)
class TunedCodes(CodedWeights):
    """A coded format under whose rounding the student can be trained further.

    Attributes:
        tuning: epochs of that training, as a share of the training's.
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
