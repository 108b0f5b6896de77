r"""What each part of the training brings: augmentation, views, the teacher's pixels, epochs.

    python -m benchmarks.ablation DATA --out ablation.csv --cache FOLDER \
        --images 20000 --epochs 30 --seeds 3 [--only augmentation]

DATA is the folder of Fashion-MNIST's four files. In each group, one thing differs from the base: a
test_resnet, trained by soft targets of a teacher, with the level `standard` and a new view in each
epoch. Accuracy is that of the exported float32 file on the validation images; the test images stay
closed. Lines are appended to the CSV as they arrive; an arm with a seed that it holds is not
trained again. benchmarks.distillation compares the methods of distillation.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.arms import Arm, parser, run
from search.data.views.augmentation import LEVELS
from search.records import Scalar

_BASE_LEVEL = "standard"
_FEW_VIEWS = (1, 4)
_TEACHER = "test_resnet"
# The epochs of a trial of a search, and of a finalist, as shares of the base's.
_SHORT, _LONG = 1 / 4, 2.0


@dataclass(frozen=True)
class Setting:
    """Arms that share a study.

    Attributes:
        arms: the arms.
        keys: the settings of the study, in which the groups of arms may differ.
    """

    arms: tuple[Arm, ...]
    keys: tuple[str, ...]


def settings(epochs: int) -> Iterator[Setting]:
    """Yield the arms of each study.

    Args:
        epochs: the epochs of the base.
    """
    for level in LEVELS:
        arms = tuple(
            _arm("augmentation", f"{level}, {method}", distillation=method)
            for method in ("labels", "soft_targets")
        )
        yield Setting(arms, (f"data.augment={level}",))
    for count in _FEW_VIEWS:
        yield Setting((_arm("views", f"{count} views"),), (f"search.views={count}",))
    yield Setting((_arm("views", "a teacher that runs in each step"),), ("search.views=live",))
    mixed = _arm("mixed images", "the mixture of two answers", **_MIXING)
    yield Setting((mixed,), ())
    answered = _arm("mixed images", "the answer for the mixture", **_MIXING)
    yield Setting((answered,), ("search.views=live",))
    lengths = [max(1, round(share * epochs)) for share in (_SHORT, 1.0, _LONG)]
    longer = tuple(
        _arm("epochs", f"{length} epochs", **{"training.standard.epochs": length})
        for length in lengths
    )
    yield Setting(longer, ())


_MIXING: dict[str, Scalar] = {"training.standard.mixup": 0.2, "training.standard.cutmix": 1.0}


def _arm(group: str, name: str, **params: Scalar) -> Arm:
    return Arm(group, name, {"distillation": "soft_targets", **params})


def main() -> None:
    own = parser(__doc__)
    own.set_defaults(student="test_resnet")
    own.add_argument("--stem", choices=("original", "half", "small"), default="original")
    own.add_argument("--teacher", default=_TEACHER)
    own.add_argument("--teacher-epochs", type=int, default=30)
    options = own.parse_args()
    for setting in settings(options.epochs):
        run(setting.arms, options, _base(options), study_keys=(*_keys(options), *setting.keys))


def _keys(options: argparse.Namespace) -> tuple[str, ...]:
    return (
        f"teacher.model={options.teacher}",
        f"teacher.train.epochs={options.teacher_epochs}",
        f"space.training.standard.epochs={round(_LONG * options.epochs)}",
        f"data.augment={_BASE_LEVEL}",
        "search.views=auto",
        "search.teacher_share=10",
    )


def _base(options: argparse.Namespace) -> dict[str, Scalar]:
    return {
        "student": "timm", "student.timm.model": options.student,
        "student.timm.stem": options.stem,
        "training": "standard", "training.standard.epochs": options.epochs,
        "pruning": "none", "quantization": "float32",
    }  # fmt: skip


if __name__ == "__main__":
    main()
