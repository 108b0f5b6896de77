r"""The learning rates of a recovery after pruning, and of a tuning with fake quantization.

    python -m benchmarks.recovery DATA --out recovery.csv --cache FOLDER \
        --images 12000 --epochs 20 --seeds 2 [--student test_byobnet]

DATA is the folder of Fashion-MNIST's four files. A student is trained by labels. Copies of it are
then pruned by magnitude, or rounded to int8, and trained further in each of these ways:

- `one schedule`: from the highest learning rate down to 0, with the warm-up;
- `none`: not at all;
- `legs`: the same, again and again, in legs of three epochs, if there are at least six;
- `rewound`: with the learning rates of the training's last epochs (Renda et al. 2020,
  arXiv:2003.02389);
- `half rewound`: the schedule begins half-way between these two.

The number of further epochs is the same in all ways. Accuracy is that on the validation images;
the test images stay closed. Lines are appended to the CSV as they arrive; those that it holds are
not measured again.
"""

import argparse
import copy
import csv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from statistics import mean

import torch
from torch import nn

from benchmarks.arms import parser, read, study_of
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.data.views.view import Views
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from spaces.axes.quantization import Quantization
from spaces.distillation.labels import Labels
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int4_weights import Int4Weights
from spaces.quantization.int8_qat import Int8Qat
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

_COLUMNS = ("student", "seed", "change", "schedule", "epochs", "accuracy")
_RATIOS = (0.1, 0.3, 0.5)
_RECOVERY = 0.3  # share of the training's epochs
_FORMATS: dict[str, Quantization] = {"int8": Int8Qat(tuning=0.25), "int4": Int4Weights(tuning=0.25)}
_LEG_EPOCHS = 3
_BEFORE = "before the change"


def schedules(epochs: int, trained: int) -> dict[str, list[tuple[int, int]]]:
    """Return the trainings of each way, each as its epochs and the skipped ones.

    Args:
        epochs: the epochs of the recovery.
        trained: the epochs of the training before it.
    """
    skipped = trained - epochs
    found: dict[str, list[tuple[int, int]]] = {
        "none": [],
        "one schedule": [(epochs, 0)],
        "half rewound": [(epochs, skipped // 2)],
        "rewound": [(epochs, skipped)],
    }
    legs = epochs // _LEG_EPOCHS
    if legs > 1:
        bounds = [epochs * leg // legs for leg in range(legs + 1)]
        found["legs"] = [(end - start, 0) for start, end in pairwise(bounds)]
    return found


def main() -> None:
    own = parser(__doc__)
    options = own.parse_args()
    keys = "data.augment=standard", "data.image_size=28", "data.validation_share=0.1"
    study = study_of(options, keys)
    dataset = prepare(study.data, seed=study.seed, cache=FolderStore.of(study.run.cache))
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        for line in _measured(options, dataset, seed=seed):
            print(*line.values(), flush=True)
            _append(options, line)
    print("\n".join(_table(options)))


def _measured(
    options: argparse.Namespace, dataset: Dataset, *, seed: int
) -> Iterator[dict[str, object]]:
    """Yield the lines of a seed that the CSV lacks."""
    keys = ("student", "seed", "change", "schedule")
    done = {tuple(line[key] for key in keys) for line in read(options.out)}
    training = Standard(epochs=options.epochs, ema=0.99)
    info = dataset.info
    torch.manual_seed(seed)
    student = Timm(model=options.student, stem="small")
    network = student.build(
        classes=len(info.classes), channels=info.channels, image_size=info.image_size
    )
    weights = options.cache / f"{options.student}_{options.images}_{options.epochs}_{seed}.pt"
    if weights.exists():
        network.load_state_dict(torch.load(weights))
    else:
        _trained(network, dataset, training, [(options.epochs, 0)], seed=seed)
        torch.save(network.state_dict(), weights)
    score = Validation.of_teacher(ACCURACY, dataset).score(network, dataset)
    for change in (*(f"{ratio:.0%} of the channels" for ratio in _RATIOS), *_FORMATS):
        share = _FORMATS[change].tuning_share if change in _FORMATS else _RECOVERY
        epochs = max(1, round(share * options.epochs))
        for schedule, parts in schedules(epochs, options.epochs).items():
            key = options.student, str(seed), change, schedule
            if key in done:
                continue
            accuracy = _further(network, dataset, training, change, parts, seed=seed)
            yield dict(zip(_COLUMNS, (*key, epochs, accuracy), strict=True))
    if (options.student, str(seed), _BEFORE, "") not in done:
        values = options.student, seed, _BEFORE, "", options.epochs, score
        yield dict(zip(_COLUMNS, values, strict=True))


def _further(
    network: nn.Module,
    dataset: Dataset,
    training: Standard,
    change: str,
    parts: list[tuple[int, int]],
    *,
    seed: int,
) -> float:
    """Return the accuracy of a changed copy of the network after its further trainings."""
    info = dataset.info
    example = torch.zeros(1, info.channels, info.image_size, info.image_size)
    with ExitStack() as stack:
        if change in _FORMATS:
            changed = copy.deepcopy(network)
            stack.enter_context(_FORMATS[change].rounded(changed, example))
        else:
            ratio = float(change.partition("%")[0]) / 100
            changed, _ = Magnitude(ratio=ratio).apply(network, example)
        return _trained(changed, dataset, training, parts, seed=seed)


def _trained(
    network: nn.Module,
    dataset: Dataset,
    training: Standard,
    parts: list[tuple[int, int]],
    *,
    seed: int,
) -> float:
    """Train the network in place, one part after another; return its accuracy at the end."""
    validation = Validation.of_teacher(ACCURACY, dataset)
    for place, (epochs, skipped) in enumerate(parts):
        plan = TrainingPlan(
            stage="train",
            training=training,
            distillation=Labels(),
            epochs=epochs,
            skipped_epochs=skipped,
            validation=validation,
            views=Views(seed=0, augmentation=dataset.info.augmentation, count=None),
            targets=None,
            seed=seed + place,
        )
        for _ in train(network, dataset, plan):
            pass
    return validation.score(network, dataset)


def _append(options: argparse.Namespace, line: dict[str, object]) -> None:
    new = not options.out.exists()
    with options.out.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def _table(options: argparse.Namespace) -> Iterator[str]:
    """Yield a Markdown table: the mean accuracy of each schedule after each change."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in read(options.out):
        key = line["student"], line["change"], line["schedule"]
        found[key].append(float(line["accuracy"]))
    yield "| student | change | schedule | seeds | accuracy |"
    yield "|---|---|---|---|---|"
    for key, scores in sorted(found.items()):
        yield f"| {' | '.join(key)} | {len(scores)} | {mean(scores):.2%} |"


if __name__ == "__main__":
    main()
