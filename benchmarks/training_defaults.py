"""Which training recipe is a good default: one thing changed at a time, several seeds.

    python -m benchmarks.training_defaults DATA --out training.csv --cache FOLDER

DATA is the folder of Fashion-MNIST's four files. The base is the method `standard` at its defaults
and the learning rate 0.01, under labels alone and under soft targets.
"""

from collections.abc import Iterator

from benchmarks.arms import Arm, parser, run
from search.records import Scalar

_CHANGES: dict[str, tuple[Scalar, ...]] = {
    "learning_rate": (1e-3, 3e-3, 3e-2),
    "optimizer": ("nadamw", "lamb"),
    "weight_decay": (0.0, 0.1),
    "batch_size": (32, 128),
    "schedule": ("linear", "wsd"),
    "warmup_epochs": (0, 2),
    "label_smoothing": (0.1,),
    "mixup": (0.2, 0.8),
    "cutmix": (1.0,),
    "erasing": (0.25,),
    "ema": (0.9, 0.99),
}
_LESSONS = ("labels", "soft_targets")


def arms() -> Iterator[Arm]:
    """Yield the defaults and every change of one parameter, under each distillation."""
    for batch in _LESSONS:
        yield Arm(batch, "defaults", {"distillation": batch})
        for key, values in _CHANGES.items():
            for value in values:
                params = {"distillation": batch, f"training.standard.{key}": value}
                yield Arm(batch, f"{key} {value}", params)


def main() -> None:
    options = parser(__doc__).parse_args()
    base: dict[str, Scalar] = {
        "student": "timm", "student.timm.model": options.student,
        "training": "standard", "training.standard.epochs": options.epochs,
        "training.standard.learning_rate": 0.01,  # `auto` would change it with the batch size
        "pruning": "none", "quantization": "float32",
    }  # fmt: skip
    run([*arms()], options, base)


if __name__ == "__main__":
    main()
