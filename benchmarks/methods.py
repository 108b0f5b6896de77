"""Every method against its axis's `none`, at equal epochs, and a few combinations.

    python -m benchmarks.methods DATA --out methods.csv --cache FOLDER

DATA is the folder of Fashion-MNIST's four files. Distillations are compared with labels alone,
prunings with none and number formats with float32, each on a student that was otherwise made alike;
then distil, prune, distil, quantize against less than that. A pruned student has as many epochs as
the others in all: those of its recovery come off its training. Methods are found in the catalogue,
at their defaults; those that need what this study has not (several teachers, images without labels)
are recorded with the reason.
"""

from collections.abc import Iterator, Mapping

from benchmarks.arms import Arm, parser, run
from search.records import Scalar
from spaces import registry
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization

_TAUGHT: Mapping[str, Scalar] = {"distillation": "soft_targets"}


def arms(epochs: int) -> Iterator[Arm]:
    """Yield all comparisons, each with the same total of epochs."""
    for name in registry.methods("distillation"):
        yield Arm("distillation", name, {"distillation": name})
    for name, method in registry.methods("pruning").items():
        made = method()
        assert isinstance(made, Pruning)
        yield Arm(
            "pruning", name, {**_TAUGHT, **_equal(epochs, made.training_share), "pruning": name}
        )
    for name, method in registry.methods("quantization").items():
        form = method()
        assert isinstance(form, Quantization)
        share = _equal(epochs, form.tuning_share)
        yield Arm("quantization", name, {**_TAUGHT, **share, "quantization": name})
    yield from _combinations(epochs)


def _combinations(epochs: int) -> Iterator[Arm]:
    int8: dict[str, Scalar] = {"quantization": "int8_static"}
    pruned = {**_equal(epochs, 0.5), "pruning": "magnitude"}
    group = "combinations"
    yield Arm(group, "labels, float32", {"distillation": "labels"})
    yield Arm(group, "labels, int8", {"distillation": "labels", **int8})
    yield Arm(group, "distil, int8", {**_TAUGHT, **int8})
    yield Arm(group, "labels, prune, labels, int8", {"distillation": "labels", **pruned, **int8})
    yield Arm(group, "distil, prune, distil, int8", {**_TAUGHT, **pruned, **int8})


def _equal(epochs: int, share: float) -> dict[str, Scalar]:
    """Return the training's epochs that, with their share of further ones, add up to `epochs`."""
    return {"training.standard.epochs": max(2, round(epochs / (1 + share)))}


def main() -> None:
    options = parser(__doc__).parse_args()
    base: dict[str, Scalar] = {
        "student": "timm", "student.timm.model": options.student,
        "training": "standard", "training.standard.epochs": options.epochs,
        "distillation": "labels", "pruning": "none", "quantization": "float32",
    }  # fmt: skip
    run([*arms(options.epochs)], options, base)


if __name__ == "__main__":
    main()
