"""What each default of a teacher's fine-tuning brings: one thing changed at a time.

    python -m benchmarks.fine_tuning IMAGENETTE PRETRAINED --out fine_tuning.csv --cache FOLDER

IMAGENETTE is a folder of class folders in train/ and val/, named by WordNet's identifiers.
PRETRAINED is a file of timm's weights of tf_efficientnet_lite0 for ImageNet. Each arm is trained
from several seeds, and measured on all images of val/ before it, at half its epochs and at their
end. Its rows are appended to the CSV when it is done; arms that the CSV already has are skipped.
docs/teachers.md shows the result.
"""

import argparse
import csv
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn
from torch.nn import functional

from search.config.data_settings import DataSettings
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset, normalize
from search.data.prepare import prepare
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.finetune import TeacherTask, training_plan
from search.teachers.linear_probe import probed
from search.teachers.setting import TeacherContext
from search.teachers.teacher import starting_network
from search.training.trainer import train

MODEL = "tf_efficientnet_lite0"
_COLUMNS = ("group", "arm", "seed", "images", "epochs", "epoch", "accuracy", "loss_nats", "seconds")
_BATCH = 100


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        group: the arms of one group are compared with each other, and with the defaults.
        name: shown in the table.
        train: keys of `teacher.train` that replace the defaults.
        teacher: keys of `teacher` that replace the base's.
    """

    group: str
    name: str
    train: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)


ARMS = (
    Arm("defaults", "defaults"),
    Arm("freeze_statistics", "false", {"freeze_statistics": False}),
    *(
        Arm("learning_rate", f"{rate:g}", {"learning_rate": rate})
        for rate in (3e-5, 3e-4, 5e-4, 1e-3)
    ),
    *(Arm("layer_decay", f"{decay:g}", {"layer_decay": decay}) for decay in (1.0, 0.65)),
    Arm("classifier", "new, by a probe", teacher={"classifier": "new"}),
    Arm("classifier", "new, random", {"probe": False}, {"classifier": "new"}),
    Arm("normalisation", "the data's", teacher={"normalisation": "data"}),
    Arm("batch_size", "64", {"batch_size": 64}),
    Arm("image_size", "224", teacher={"image_size": 224}),
    Arm("label_smoothing", "0.1", {"label_smoothing": 0.1}),
    Arm("ema", "0.99", {"ema": 0.99}),
    Arm("weight_decay", "0", {"weight_decay": 0.0}),
    Arm("from scratch", "random weights", teacher={"checkpoint": None}),
)


def main() -> None:
    options = _parser().parse_args()
    torch.set_num_threads(1)
    cache = FolderStore.of(options.cache)
    settings = DataSettings(
        source="folder", path=options.images, image_size=160, train_images=options.limit
    )
    dataset = prepare(settings, seed=0, cache=cache, progress=print)
    done = _done(options.out)
    for seed in range(options.seeds):
        for arm in ARMS:
            if options.only not in arm.group or (arm.group, arm.name, seed) in done:
                continue
            context = TeacherContext(
                dataset=dataset,
                cache=cache,
                seed=seed,
                device="cpu",
                metric=ACCURACY,
                allow_code=False,
                progress=print,
            )
            print(f"{arm.group}: {arm.name}, seed {seed}", flush=True)
            rows = [*_measured(arm, context, options)]
            _append(options.out, rows, arm, seed, images=len(dataset.training))
    _show(options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="the folder of the images")
    parser.add_argument("pretrained", type=Path, help="the file of the weights")
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=None, help="epochs of every arm")
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    parser.add_argument("--only", default="", help="groups whose names contain this")
    return parser


def _measured(
    arm: Arm, context: TeacherContext, options: argparse.Namespace
) -> Iterator[dict[str, float]]:
    """Train the arm; yield the results on the test images at the start, in mid-way, at the end."""
    if arm.teacher.get("classifier") == "new":
        context = replace(context, dataset=_renamed(context.dataset))
    settings = _settings(arm, options, context.dataset)
    assert settings.train is not None
    assert settings.schedule is not None
    begun = time.perf_counter()
    network, is_new = starting_network(settings, context)
    task = TeacherTask(training=settings.train, schedule=settings.schedule)
    if is_new and settings.train.probe and settings.schedule.fine_tunes:
        probed(network, context)
    epochs = settings.schedule.epochs
    yield _row(0, epochs, begun, network, context.dataset)
    for point in train(network, context.dataset, training_plan(task, context)):
        if point.epoch + 1 in (epochs // 2, epochs):
            yield _row(point.epoch + 1, epochs, begun, network, context.dataset)


def _renamed(dataset: Dataset) -> Dataset:
    """Return the data with names of classes that no weights have: so the classifier is new."""
    classes = tuple(f"class {number}" for number in range(len(dataset.info.classes)))
    return replace(dataset, info=replace(dataset.info, classes=classes))


def _settings(arm: Arm, options: argparse.Namespace, dataset: Dataset) -> TeacherSettings:
    """Return the arm's teacher: the weights and the defaults, with what the arm replaces."""
    changes = {key: value for key, value in arm.teacher.items() if key != "classifier"}
    given: dict[str, Any] = {"model": MODEL, "checkpoint": options.pretrained}
    if changes.pop("normalisation", None) == "data":
        given |= {"mean": list(dataset.info.mean), "std": list(dataset.info.std)}
    train = dict(arm.train)
    if options.epochs is not None:
        train = {"epochs": options.epochs, **train}
    return TeacherSettings(**{**given, **changes, "train": train})


@torch.inference_mode()
def _row(
    epoch: int, epochs: int, begun: float, network: nn.Module, dataset: Dataset
) -> dict[str, float]:
    seconds = time.perf_counter() - begun
    network.eval()
    right, loss = 0, 0.0
    for batch in dataset.test.batches(_BATCH):
        logits = network(normalize(batch.images, dataset.info.mean, dataset.info.std))
        right += int((logits.argmax(dim=1) == batch.labels).sum())
        loss += float(functional.cross_entropy(logits, batch.labels, reduction="sum"))
    found = {
        "epochs": epochs,
        "epoch": epoch,
        "accuracy": right / len(dataset.test),
        "loss_nats": round(loss / len(dataset.test), 5),
        "seconds": round(seconds, 1),
    }
    print(found, flush=True)
    return found


def _done(path: Path) -> set[tuple[str, str, int]]:
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {(row["group"], row["arm"], int(row["seed"])) for row in csv.DictReader(file)}


def _append(path: Path, rows: list[dict[str, float]], arm: Arm, seed: int, *, images: int) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        if is_new:
            writer.writeheader()
        for row in rows:
            writer.writerow(
                {"group": arm.group, "arm": arm.name, "seed": seed, "images": images, **row}
            )


def _show(path: Path) -> None:
    """Print the last epoch of each arm, over its seeds."""
    with path.open(newline="") as file:
        last = [row for row in csv.DictReader(file) if row["epoch"] == row["epochs"]]
    print(f"{'group':<18} {'arm':<18} {'accuracy':>16} {'loss, nats':>16} {'seconds':>8}")
    for group, arm in dict.fromkeys((row["group"], row["arm"]) for row in last):
        own = [row for row in last if (row["group"], row["arm"]) == (group, arm)]
        accuracy = _spread([100 * float(row["accuracy"]) for row in own], "%")
        loss = _spread([float(row["loss_nats"]) for row in own], "")
        seconds = mean(float(row["seconds"]) for row in own)
        print(f"{group:<18} {arm:<18} {accuracy:>16} {loss:>16} {seconds:>8.0f}")


def _spread(values: list[float], unit: str) -> str:
    shown = f"{mean(values):.2f}{unit}" if unit else f"{mean(values):.4f}"
    return f"{shown} ± {stdev(values):.2g}" if len(values) > 1 else shown


if __name__ == "__main__":
    main()
