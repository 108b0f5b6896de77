r"""What each distillation of logits brings: the same student, the same teacher, several seeds.

    python -m benchmarks.distillation DATA --out distillation.csv --cache FOLDER \
        --images 57000 --epochs 60 --views 60 --teacher resnet18 --teacher-epochs 30

DATA is the folder of Fashion-MNIST's four files. The teacher is trained on the same images, and its
logits of each view are cached by the product's own code. The student is trained by `standard` at
its defaults. Accuracy is that of the exported float32 file on the validation images (5% of the
training images); the test images stay closed. Lines are appended to the CSV as they arrive, and an
arm with a seed that the CSV holds is not trained again.
"""

import argparse
from collections.abc import Iterator

from benchmarks.arms import Arm, parser, run
from search.records import Scalar

_GROUP = "distillation"
# The weights 9 and 0.1 of Sun et al., as shares with the factor 9 of `standardize`.
_SUN = 10 / 11


def arms(epochs: int) -> Iterator[Arm]:
    """Yield labels alone, and each distillation of logits in its own and its authors' settings.

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


def base_of(options: argparse.Namespace) -> dict[str, Scalar]:
    """Return the recipe that each arm changes, as flat parameters."""
    return {
        "student": "timm", "student.timm.model": options.student,
        "student.timm.stem": options.stem,
        "training": "standard", "training.standard.epochs": options.epochs,
        "pruning": "none", "quantization": "float32",
    }  # fmt: skip


def main() -> None:
    own = parser(__doc__)
    own.set_defaults(student="test_resnet")
    own.add_argument("--stem", choices=("original", "small"), default="small")
    own.add_argument("--teacher", default="resnet18")
    own.add_argument("--teacher-epochs", type=int, default=30)
    own.add_argument("--views", type=int, default=8)
    options = own.parse_args()
    keys = (
        f"teacher.model={options.teacher}",
        f"teacher.train.epochs={options.teacher_epochs}",
        f"search.views={options.views}",
    )
    run([*arms(options.epochs)], options, base_of(options), study_keys=keys)


if __name__ == "__main__":
    main()
