"""Several teachers as one."""

import math

from torch import Tensor

# Bump it when teachers are averaged otherwise.
VERSION = 1


def as_one(members: Tensor) -> Tensor:
    """Return logits [batch, classes] of the mean prediction of [teachers, batch, classes] logits.

    A single teacher's logits stay as they are.
    """
    if len(members) == 1:
        return members[0]
    return members.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(members))
