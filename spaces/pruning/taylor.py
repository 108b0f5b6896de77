"""Channel pruning by Taylor expansion. Molchanov et al. 2019, arXiv:1906.10771."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from spaces.axes.pruning import Losses
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.channels import magnitude
from spaces.pruning.structured.graph import Importance
from spaces.pruning.structured.sensitivities import sensitivities_as_weights


@dataclass(frozen=True)
class Taylor(ChannelPruning):
    """Removal of the channels with the smallest effect on the loss, to first order.

    A channel's importance is the sum over its weights of (gradient · weight)², averaged over
    batches of training images.

    Source: Molchanov et al. 2019, equation 8, arXiv:1906.10771.
    """

    name: ClassVar[str] = "taylor"

    def importance(self) -> Importance:
        return magnitude(power=2)

    def weighed(self, network: nn.Module, losses: Losses | None) -> AbstractContextManager[object]:
        # Without images the caller needs only shapes, and these do not depend on the weights.
        return nullcontext() if losses is None else sensitivities_as_weights(network, losses)
