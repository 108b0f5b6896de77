"""What a fine-tuned network still knows right after a pruning, before any further training.

    python -m benchmarks.pretrained_pruning IMAGENETTE PRETRAINED --cache FOLDER \
        --out benchmarks/pretrained_pruning.csv

IMAGENETTE and PRETRAINED are those of the yardstick imagenette160, and FOLDER may be the cache of
its run, which has the fine-tuned teacher. A copy of the teacher is pruned by each method until
about a share of its weights is gone, and is measured on the validation images. Rows are appended to
the CSV as they arrive; those that it has are not measured again. docs/teachers.md shows them.
"""

import argparse
import csv
import math
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn
from torch.nn import functional

from search.config.loader import load_study
from search.data.dataset import Dataset, normalize
from search.pipeline.setup import prepare_context
from search.pipeline.student_builder import StudentBuilder
from search.pipeline.study_context import open_context
from search.progress import SilentCallback
from spaces.axes.pruning import Losses, Pruning
from spaces.counting import count_macs, count_parameters
from spaces.pruning.knapsack import Knapsack
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.taylor import Taylor
from spaces.recipe import Recipe

_STUDY = Path(__file__).parent / "yardsticks" / "imagenette160.yaml"
_SHARES = (0.3, 0.5, 0.65)
_BATCH = 55
_COLUMNS = ("method", "share", "parameters", "macs", "accuracy", "loss_nats", "seconds")


def methods(share: float) -> Mapping[str, Pruning]:
    """Return the prunings that remove about this share of the weights, by the names of their rows.

    A layer's weights are about the square of its share of channels.
    """
    ratio = 1 - math.sqrt(1 - share)
    return {
        "magnitude": Magnitude(ratio=ratio),
        "magnitude, isomorphic": Magnitude(ratio=ratio, scope="isomorphic"),
        "taylor": Taylor(ratio=ratio),
        "taylor, isomorphic": Taylor(ratio=ratio, scope="isomorphic"),
        "knapsack": Knapsack(ratio=share),
        "knapsack, macs": Knapsack(ratio=share, cost="macs"),
    }


def main() -> None:
    options = _parser().parse_args()
    torch.set_num_threads(1)
    done = {(row["method"], row["share"]) for row in _read(options.out)}
    for row in _rows(options, done):
        is_new = not options.out.exists()
        with options.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", type=Path, help="the folder of the images")
    parser.add_argument("pretrained", type=Path, help="the file of the weights")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    return parser


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _rows(
    options: argparse.Namespace, done: set[tuple[str, str]]
) -> Iterator[dict[str, float | str]]:
    study = load_study(
        _STUDY,
        [f"data.path={options.images}", f"teacher.checkpoint={options.pretrained}",
         f"run.cache={options.cache}", f"run.artifacts={options.cache / 'artifacts'}",
         "search.views=1"],
    )  # fmt: skip
    spec, _ = prepare_context(study, SilentCallback())
    context = open_context(spec)
    recipe = Recipe.from_params(
        {"student": "timm", "student.timm.model": "tf_efficientnet_lite0",
         "student.timm.weights": "teacher", "training": "standard",
         "training.standard.batch_size": 32, "distillation": "soft_targets"}
    )  # fmt: skip
    builder, example = StudentBuilder(context, 0), context.requirements.example()
    network = context.requirements.build(recipe.student, weights=context.weights(recipe.student))
    losses = partial(builder.losses, recipe=recipe)
    arms = [("none", 0.0, None)] + [
        (name, share, pruning) for share in _SHARES for name, pruning in methods(share).items()
    ]
    for name, share, pruning in arms:
        if (name, str(share)) in done:
            continue
        begun = time.perf_counter()
        pruned = network if pruning is None else _pruned(pruning, network, example, losses)
        seconds = time.perf_counter() - begun
        accuracy, loss = _measured(pruned, context.dataset)
        yield {
            "method": name,
            "share": share,
            "parameters": count_parameters(pruned),
            "macs": count_macs(pruned, example),
            "accuracy": accuracy,
            "loss_nats": round(loss, 4),
            "seconds": round(seconds, 1),
        }


def _pruned(
    pruning: Pruning, network: nn.Module, example: torch.Tensor, losses: Losses
) -> nn.Module:
    """Run all steps of a pruning, and no training."""
    steps = pruning.prune_in_steps(network, example, losses=losses)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            pruned: nn.Module = end.value[0]
            return pruned


@torch.inference_mode()
def _measured(network: nn.Module, dataset: Dataset) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy on the validation images."""
    network.eval()
    right, loss, info = 0, 0.0, dataset.info
    for batch in dataset.validation.batches(_BATCH):
        logits = network(normalize(batch.images, info.mean, info.std))
        right += int((logits.argmax(dim=1) == batch.labels).sum())
        loss += float(functional.cross_entropy(logits, batch.labels, reduction="sum"))
    return right / len(dataset.validation), loss / len(dataset.validation)


if __name__ == "__main__":
    main()
