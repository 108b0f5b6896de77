"""Weight sharing by k-means. Han et al. 2016, arXiv:1510.00149."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import OneOf, param
from spaces.quantization.weight_compression.coded_weights import CodedWeights
from spaces.quantization.weight_compression.codes import Codes, kmeans_codes


@dataclass(frozen=True)
class KMeans(CodedWeights):
    """The weights of a layer share a few values, which are its clusters' means.

    The file holds each weight's cluster: 4 of 4 `levels` to a byte, 3 of 6, 2 of 16, 1 of 256.

    Source: Han et al. 2016 (deep compression), arXiv:1510.00149, section 3; without its training
    of the shared values.
    """

    name: ClassVar[str] = "kmeans"
    levels: int = param(16, OneOf((4, 6, 16, 256)))

    def codes(self, weights: Tensor) -> Codes:
        return kmeans_codes(weights, levels=self.levels)
