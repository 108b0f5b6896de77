"""Standardised logits for distillation. Sun et al. 2024, arXiv:2403.01427."""

from torch import Tensor

# The authors multiply the divergence of standardised logits by 9, at a temperature of 2.
_WEIGHT = 9.0
_EPSILON = 1e-7


def comparable(
    student: Tensor, teacher: Tensor, *, standardize: bool
) -> tuple[Tensor, Tensor, float]:
    """Return the logits whose softened predictions are compared, and the weight of the divergence.

    Args:
        student: logits, [batch, classes].
        teacher: logits, [batch, classes]; gradients are not taken.
        standardize: whether to standardise the logits of both. If not, they are returned as they
            are, with the weight 1.
    """
    teacher = teacher.detach().float()
    if not standardize:
        return student, teacher, 1.0
    return standardized(student), standardized(teacher), _WEIGHT


def standardized(logits: Tensor) -> Tensor:
    """Return each image's logits with mean 0 and standard deviation 1 over the classes.

    Equal logits become 0, with finite gradients.

    Args:
        logits: [..., classes], at least two classes. With exactly two, only their order remains.

    Source: Sun et al. 2024, arXiv:2403.01427, algorithm 1; the standard deviation is that of a
    sample, as in https://github.com/sunshangquan/logit-standardization-KD.
    """
    centred = logits - logits.mean(dim=-1, keepdim=True)
    variance = logits.var(dim=-1, keepdim=True)
    # The square root has no finite slope at 0.
    return centred / (variance.clamp_min(_EPSILON**2).sqrt() + _EPSILON)
