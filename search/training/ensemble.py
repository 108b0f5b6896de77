"""The mean prediction of several teachers."""

import math

from torch import Tensor

# Bump it when teachers are averaged differently.
VERSION = 1


def ensemble_logits(members: Tensor) -> Tensor:
    """Return the logits of the teachers' mean prediction, [batch, classes].

    Args:
        members: the logits of each teacher, [teachers, batch, classes]. The logits of a single
            teacher are returned unchanged.
    """
    if len(members) == 1:
        return members[0]
    return members.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(members))
