"""Weight sharing by k-means. Han et al. 2016, arXiv:1510.00149."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from spaces.axes.quantization import Quantization
from spaces.choice import OneOf, param
from spaces.packing.weights import code_weights
from spaces.rounding.codes import kmeans_codes
from spaces.shrinks import SIZE_ONLY, Shrinks


@dataclass(frozen=True)
class KMeans(Quantization):
    """The weights of a layer share a few values, which are its clusters' means.

    The file holds each weight's cluster: 4 of 4 `levels` to a byte, 3 of 6, 2 of 16, 1 of 256.

    Source: Han et al. 2016 (deep compression), arXiv:1510.00149, section 3; without its training
    of the shared values.
    """

    name: ClassVar[str] = "kmeans"
    shrinks: ClassVar[Shrinks] = SIZE_ONLY
    keeps_zeros: ClassVar[bool] = False
    levels: int = param(16, OneOf((4, 6, 16, 256)))

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # weights alone are rounded
        code_weights(source, destination, partial(kmeans_codes, levels=self.levels), ends=True)
