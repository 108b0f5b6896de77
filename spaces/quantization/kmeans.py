"""Weight sharing by k-means. Han et al. 2016, arXiv:1510.00149."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spaces.method import OneOf, param
from spaces.quantization.weight_compression.coded_weights import CodedWeights
from spaces.quantization.weight_compression.codes import Codes, kmeans_codes


@dataclass(frozen=True)
class KMeans(CodedWeights):
    """Weight sharing: each weight of a layer is one of a few shared values, found by k-means.

    The file stores the index of the shared value for each weight. A byte holds 4 indices for 4
    `levels`, 3 indices for 6, 2 indices for 16, and 1 index for 256.

    Source: Han et al. 2016 (deep compression), arXiv:1510.00149, section 3. This code does not
    train the shared values.
    """

    name: ClassVar[str] = "kmeans"
    levels: int = param(16, OneOf((4, 6, 16, 256)))

    def codes(self, weights: Tensor) -> Codes:
        return kmeans_codes(weights, levels=self.levels)
