"""What loading costs: reading an image, preparing a data set, and an epoch beside a torch loop.

    python -m benchmarks.loading [--size 224] [--images 256] [--prepared 1000] [--rounds 5]

The program makes photos in a temporary folder: JPEGs of 500×375 and of 1600×1200 pixels, from noise
of several scales. It prints three Markdown tables.

reading    for each kind of photos and each place from which images are read, processor time and
           images a second of this process alone, and the difference from an exact reading
preparing  the peak memory of a process that prepares a data set, its duration, and the disk space
epochs     the duration of an epoch of `search.training.trainer` divided by that of a loop in plain
           PyTorch that does the same work: with pixels in memory, beside a loop that indexes a
           tensor; and with images that are decoded, beside torch's DataLoader over the same files
           with as many processes. The last column divides by the epoch with pixels in memory

The variants of a table take turns, and figures are medians over rounds. Processor time includes the
processes that decode. It says more than time does where other programs use the same cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import data
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.photos import CLASSES, write_photos
from benchmarks.process_time import Spent, spent_by
from search.config.data_settings import DataSettings
from search.data.dataset import Dataset, normalize
from search.data.prepare import prepare
from search.data.prepared import open_dataset
from search.data.views.augmentation import Augmentation
from search.data.views.view import View, Views
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.objectives.units import format_bytes
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from spaces.distillation.labels import Labels
from spaces.training.standard import Standard

KINDS: Mapping[str, tuple[int, int]] = {"500×375": (500, 375), "1600×1200": (1600, 1200)}
BATCH = 32
CHANGES = Augmentation(shift=0.1, flip=True)
VIEW = View(number=0, seed=0, augmentation=CHANGES)
HELD, STREAMED = 10**12, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=256, help="images of an epoch")
    parser.add_argument("--prepared", type=int, default=1000, help="images to prepare")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="test_efficientnet")
    parser.add_argument("--prepare", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.prepare:
        _print_preparation(Path(options.prepare[0]), Path(options.prepare[1]), options)
        return
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        print(_head("photos", "read from", "CPU ms", "images/s", "grey levels", "disk"))
        for kind, shape in KINDS.items():
            photos = write_photos(room / kind, options.images, shape)
            for row in _reading(kind, photos, room / "cache", options):
                print(row, flush=True)
        print(f"\n{_head('photos', 'prepared as', 'peak memory', 's', 'disk')}")
        photos = write_photos(room / "many", options.prepared, KINDS["500×375"])
        for name, in_memory in (("pixels", HELD), ("originals", STREAMED)):
            print(_preparing(name, photos, room / "other", in_memory, options), flush=True)
        print(f"\n{_head('epoch', 's', '÷ loop', 'CPU ÷ loop', '÷ in memory')}")
        for row in _epochs(room / "500×375", room / "cache", options):
            print(row, flush=True)


def _head(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def _reading(kind: str, photos: Path, cache: Path, options: argparse.Namespace) -> Iterator[str]:
    """Yield a row for each place from which the images of a view are read."""
    held = _prepared(photos, cache, options.size, in_memory=HELD)
    own = _prepared(photos, cache, options.size, in_memory=STREAMED, shards="never")
    shards = _prepared(photos, cache, options.size, in_memory=STREAMED, shards="always")
    exact = _pixels(held, view=None)
    readers: dict[str, Callable[[], Tensor]] = {
        "pixels in memory": lambda: _pixels(held, view=VIEW),
        "own files, no view": lambda: _pixels(own, view=None),
        "own files": lambda: _pixels(own, view=VIEW),
        "shards, no view": lambda: _pixels(shards, view=None),
        "shards": lambda: _pixels(shards, view=VIEW),
    }
    full = readers["own files"]()
    times: dict[str, list[Spent]] = {name: [] for name in readers}
    for _ in range(options.rounds):
        for name, read in readers.items():
            times[name].append(spent_by(read))
    for name, spent in times.items():
        shown = readers[name]()
        same = exact if "no view" in name else full
        differs = "" if name == "pixels in memory" else f"{_difference(shown, same):.2f}"
        disk = sum(path.stat().st_size for path in held.folder.iterdir()) if "pixels" in name else 0
        if name == "shards":
            disk = shards.stored["training"].bytes
        cpu = median(one.cpu_s for one in spent) / options.images
        wall = median(one.wall_s for one in spent) / options.images
        text = format_bytes(disk) if disk else ""
        yield f"| {kind} | {name} | {cpu * 1e3:.2f} | {1 / wall:.0f} | {differs} | {text} |"


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one.int() - other.int()).abs().float().mean())


def _pixels(dataset: Dataset, *, view: View | None) -> Tensor:
    return torch.cat([batch.images for batch in dataset.training.batches(BATCH, view=view)])


def _prepared(photos: Path, cache: Path, size: int, **settings: object) -> Dataset:
    """Return the photos prepared with these settings; this process decodes them."""
    given = {"source": "folder", "path": photos, "image_size": size, "workers": 0, **settings}
    chosen = DataSettings.model_validate(given)
    return prepare(chosen, seed=0, cache=FolderStore.of(cache))


def _preparing(
    name: str, photos: Path, cache: Path, in_memory: int, options: argparse.Namespace
) -> str:
    command = [sys.executable, "-m", "benchmarks.loading", "--size", str(options.size)]
    command += ["--prepare", str(photos), str(cache), str(in_memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found = json.loads(done.stdout)
    return (
        f"| {options.prepared} of 500×375 | {name} | {format_bytes(found['memory'])}, of which "
        f"{format_bytes(found['before'])} are imports | {found['seconds']:.0f} | "
        f"{format_bytes(found['disk'])} |"
    )


def _print_preparation(photos: Path, cache: Path, options: argparse.Namespace) -> None:
    """Prepare the photos in this process, and print its peak memory as JSON."""
    before = _peak_bytes()
    start = time.perf_counter()
    dataset = _prepared(
        photos, cache, options.size, in_memory=int(options.prepare[2]), workers=None
    )
    found = {
        "before": before,
        "memory": _peak_bytes(),
        "seconds": time.perf_counter() - start,
        "disk": sum(path.stat().st_size for path in dataset.folder.iterdir()),
    }
    print(json.dumps(found))


def _peak_bytes() -> int:
    """Return the largest memory of this process so far; `ru_maxrss` may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) * 1024


@dataclass(frozen=True)
class _Unscored(Validation):
    """Validation that takes no time, since the loops in plain PyTorch have none."""

    def score(self, *_: object, **__: object) -> float:
        return 0.0


def _epochs(photos: Path, cache: Path, options: argparse.Namespace) -> Iterator[str]:
    """Yield a row for each way of loading: our epoch beside the one in plain PyTorch."""
    held = _prepared(photos, cache, options.size, in_memory=HELD)
    folder = _prepared(photos, cache, options.size, in_memory=STREAMED, shards="never").folder
    ours, loops = {"in memory": held}, {"in memory": _held_loop(held, options)}
    for workers in (0, 1, 2):
        name = f"decoded, {workers} processes"
        ours[name] = open_dataset(folder, workers=workers)
        loops[name] = _streamed_loop(photos, held, workers, options)
    runs = {name: (_our_epochs(ours[name], options), loops[name]) for name in ours}
    times: dict[str, list[tuple[Spent, Spent]]] = {name: [] for name in runs}
    for number in range(options.rounds + 1):
        for name, (own, other) in runs.items():
            pair = spent_by(partial(next, own)), spent_by(partial(next, other))
            if number:  # the first round starts processes
                times[name].append(pair)
    base = median(own.wall_s for own, _ in times["in memory"])
    for name, pairs in times.items():
        wall = median(own.wall_s for own, _ in pairs)
        ratio = wall / median(other.wall_s for _, other in pairs)
        cpu = median(own.cpu_s for own, _ in pairs) / median(other.cpu_s for _, other in pairs)
        yield f"| {name} | {wall:.2f} | {ratio:.2f} | {cpu:.2f} | {wall / base:.2f} |"


def _our_epochs(dataset: Dataset, options: argparse.Namespace) -> Iterator[object]:
    plan = TrainingPlan(
        stage="distil",
        training=Standard(epochs=options.rounds + 1, batch_size=BATCH),
        distillation=Labels(),
        epochs=options.rounds + 1,
        validation=_Unscored.of_teacher(ACCURACY, dataset),
        views=Views(seed=0, augmentation=CHANGES),
        targets=None,
        seed=0,
    )
    return train(_network(options), dataset, plan)


def _network(options: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(options.model, num_classes=len(CLASSES))
    return network


def _held_loop(dataset: Dataset, options: argparse.Namespace) -> Iterator[None]:
    """Index a tensor; shift and mirror each image."""
    batches = list(dataset.training.batches(BATCH))
    images = torch.cat([batch.images for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    margin = round(CHANGES.shift * options.size)
    generator = np.random.default_rng(0)

    def shifted(image: Tensor) -> Tensor:
        down, right = generator.integers(0, 2 * margin + 1, 2)
        padded = functional.pad(image[None].float(), [margin] * 4, mode="reflect")[0]
        moved = padded[:, down : down + options.size, right : right + options.size]
        return moved.flip(2) if generator.random() < 0.5 else moved

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.split(torch.randperm(len(images)), BATCH):
            yield torch.stack([shifted(images[index]) for index in chosen]), labels[chosen]

    return _loop(epoch, dataset, options)


def _streamed_loop(
    photos: Path, dataset: Dataset, workers: int, options: argparse.Namespace
) -> Iterator[None]:
    """Read the files by torch's DataLoader, with crops of nearly the whole image."""
    crop = transforms.RandomResizedCrop(options.size, scale=(0.8, 1.0))
    steps = [crop, transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
    files = ImageFolder(str(photos / "train"), transforms.Compose(steps))
    loader = data.DataLoader(
        files,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=bool(workers),
    )
    return _loop(lambda: iter(loader), dataset, options)


def _loop(
    epoch: Callable[[], Iterator[tuple[Tensor, Tensor]]],
    dataset: Dataset,
    options: argparse.Namespace,
) -> Iterator[None]:
    """Train in plain PyTorch; yield after each epoch."""
    network = _network(options).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    while True:
        for images, labels in epoch():
            if len(labels) < BATCH:
                continue
            inputs = normalize(images, dataset.info.mean, dataset.info.std)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        yield


if __name__ == "__main__":
    main()
