"""The arms that compare distillations of logits: each in its own settings and in its authors'."""

from collections.abc import Iterator

from benchmarks.arms import Arm
from search.records import Scalar

_GROUP = "distillation"
# The weights 9 and 0.1 of Sun et al., as shares with the factor 9 of `standardize`.
_SUN = 10 / 11


def distillation_arms(epochs: int) -> Iterator[Arm]:
    """Yield labels alone, and each distillation of logits.

    Args:
        epochs: the epochs of the training, from which the warm-up of 20 epochs follows.
    """
    yield _arm("labels", "labels")
    yield _arm("soft_targets", "soft_targets")
    yield _arm("soft_targets, T 4 and weight 0.9 (Tian et al.)", "soft_targets", weight=0.9)
    yield _arm("soft_targets, standardized", "soft_targets", standardize=True)
    yield _arm(
        "soft_targets, standardized, T 2 and 9 : 0.1 (Sun et al.)", "soft_targets",
        standardize=True, temperature=2.0, weight=_SUN,
    )  # fmt: skip
    yield _arm("dkd, version 1 (beta 2, no warm-up)", "dkd", others_weight=2.0, warmup=0.0)
    yield _arm("dkd (Zhao et al., CIFAR-100)", "dkd")
    yield _arm("dkd, beta 2", "dkd", others_weight=2.0)
    yield _arm("dkd, warm-up of 20 epochs", "dkd", warmup=min(1.0, 20 / epochs))
    yield _arm("dkd, standardized", "dkd", standardize=True)
    yield _arm(
        "dkd, standardized, 9 and 81 (Sun et al.)", "dkd", standardize=True, others_weight=9.0
    )
    yield _arm("dist", "dist")
    yield _arm("hard_labels", "hard_labels")
    yield _arm("label_free", "label_free")


def _arm(name: str, method: str, **params: Scalar) -> Arm:
    flat = {f"distillation.{method}.{key}": value for key, value in params.items()}
    return Arm(_GROUP, name, {"distillation": method, **flat})
