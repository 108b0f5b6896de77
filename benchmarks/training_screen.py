"""Which parameters of training matter, and which way: a screening design for three students.

    python -m benchmarks.training_screen DATA --out screen.csv --cache FOLDER --plan
    python -m benchmarks.training_screen DATA --out screen.csv --cache FOLDER
    python -m benchmarks.training_screen DATA --out screen.csv --cache FOLDER --report

DATA is the folder of Fashion-MNIST's four files; `--set` changes keys of the study, as for GTSRB:
`--set data.source=folder data.groups=prefix data.flip=false`. Students learn from labels alone, on
fresh views in each epoch. The result of a run is the accuracy of its last epoch on the validation
images.

The design is a definitive screening design of 25 runs for each student: every parameter has three
levels, and its main effect is independent of the other main effects, of curvatures and of the
interactions of two parameters. `--plan` prints the expected time, from timed steps. Runs are
distributed over `--parallel` processes of one thread. Lines are appended to the CSV as runs end,
and runs that the CSV holds are not repeated. `--report` prints the effects with standard errors.

Source: Jones and Nachtsheim 2011, A Class of Three-Level Designs for Definitive Screening in the
Presence of Second-Order Effects; with a conference matrix by Paley 1933, as in Xiao et al. 2012.
"""

import argparse
import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.arms import STUDY, read
from benchmarks.screening import conference_matrix, definitive_design, report
from search.config.loader import load_study
from search.config.study import Study
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.data.views.view import Views
from search.errors import TrialError
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.pipeline.setup import requirements_of, views_of
from search.records import Scalar
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from search.tuner.effort import TrialTimer
from search.tuner.loading_time import LoadingTime
from spaces.distillation.labels import Labels
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

STUDENTS = ("test_resnet", "mobilenetv3_small_050", "test_vit")
_LEARNING_RATE, _AUGMENT = "learning_rate", "augment"
# The three levels of each parameter, from weak to strong. The learning rate is a multiple of the
# automatic one. The level of augmentation is a key of the data; all others are parameters of
# `standard`.
FACTORS: Mapping[str, tuple[Scalar, Scalar, Scalar]] = {
    _LEARNING_RATE: (1 / 3, 1.0, 3.0),
    "weight_decay": (0.005, 0.02, 0.08),
    "schedule": ("linear", "cosine", "wsd"),
    "label_smoothing": (0.0, 0.05, 0.1),
    "mixup": (0.0, 0.1, 0.4),
    "cutmix": (0.0, 0.3, 1.0),
    "ema": (0.0, 0.99, 0.999),
    "batch_size": (32, 64, 128),
    "clip_norm": (0.0, 5.0, 1.0),
    "drop_path": (0.0, 0.05, 0.15),
    _AUGMENT: ("light", "standard", "strong"),
}
_RESULTS = ("accuracy", "loss", "seconds", "failure")
COLUMNS = ("student", "run", "seed", "epochs", *FACTORS, *_RESULTS)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: a student at the levels of one row of the design."""

    student: str
    number: int
    seed: int
    levels: tuple[int, ...]
    study_keys: tuple[str, ...]
    epochs: int

    @property
    def values(self) -> dict[str, Scalar]:
        """The value of each parameter, at its level -1, 0 or 1."""
        return {
            name: values[level + 1]
            for (name, values), level in zip(FACTORS.items(), self.levels, strict=True)
        }

    @property
    def recipe(self) -> Recipe:
        """The recipe of the training."""
        student = Timm(model=self.student)
        params = {name: value for name, value in self.values.items() if name != _AUGMENT}
        automatic = Standard(batch_size=params["batch_size"]).prepared_for(student)  # type: ignore[arg-type]
        params[_LEARNING_RATE] = automatic.learning_rate * params[_LEARNING_RATE]  # type: ignore[operator]
        training = Standard(epochs=self.epochs, **params)  # type: ignore[arg-type]
        return Recipe(student, training, Labels(), NoPruning(), Float32())

    def data(self) -> tuple[Study, Dataset, Views]:
        """Return the study of the run, its images, and its views, as a search would see them."""
        return _data((*self.study_keys, f"data.augment.level={self.values[_AUGMENT]}"))


@cache
def _data(study_keys: tuple[str, ...]) -> tuple[Study, Dataset, Views]:
    study = load_study(STUDY, study_keys)
    dataset = prepare(study.data, seed=study.seed, cache=FolderStore.of(study.run.cache))
    return study, dataset, views_of(study, dataset, None)


def runs_of(options: argparse.Namespace) -> list[Run]:
    """Return all runs: each row of the design for all students before the next row."""
    keys = (
        f"data.path={options.data}", f"data.train_images={options.images}",
        f"run.cache={options.cache}", *options.set,
    )  # fmt: skip
    design = definitive_design(conference_matrix(11))[:, : len(FACTORS)]
    return [
        Run(
            student=student, number=number, seed=seed, levels=tuple(map(int, row)),
            study_keys=keys, epochs=options.epochs,
        )
        for seed in range(options.seeds)
        for number, row in enumerate(design)
        for student in options.students
    ]  # fmt: skip


def measured(run: Run) -> dict[str, Scalar]:
    """Train the student of a run; return its line of the CSV."""
    torch.set_num_threads(1)
    started, line = time.perf_counter(), _line(run)
    study, dataset, views = run.data()
    torch.manual_seed(run.seed)
    network = requirements_of(study, dataset.info).build(run.recipe.student)
    plan = TrainingPlan(
        stage="train",
        training=run.recipe.training,
        distillation=Labels(),
        epochs=run.epochs,
        validation=Validation.of_teacher(ACCURACY, dataset),
        views=views,
        targets=None,
        seed=run.seed,
    )
    try:
        *_, last = train(network, dataset, plan)
        line |= {"accuracy": last.score, "loss": last.loss}
    except TrialError as error:
        line |= {"failure": str(error)}
    return line | {"seconds": round(time.perf_counter() - started, 1)}


def _line(run: Run) -> dict[str, Scalar]:
    place: dict[str, Scalar] = {
        "student": run.student,
        "run": run.number,
        "seed": run.seed,
        "epochs": run.epochs,
    }
    return place | run.values | dict.fromkeys(_RESULTS, "")


def left_of(runs: Sequence[Run], lines: Sequence[Mapping[str, str]]) -> list[Run]:
    """Return the runs that the CSV lacks.

    Raises:
        ValueError: the CSV holds another design: other levels, or other epochs, of a run.
    """
    known = {(line["student"], line["run"], line["seed"]): line for line in lines}
    left = []
    for run in runs:
        expected = {key: str(value) for key, value in _line(run).items() if key not in _RESULTS}
        found = known.get((run.student, str(run.number), str(run.seed)))
        if found is None:
            left.append(run)
        elif any(found[key] != value for key, value in expected.items()):
            raise ValueError(
                f"the CSV must hold run {run.number} of {run.student} as {expected}, but holds "
                f"{found}: write another file"
            )
    return left


def expected_seconds(runs: Sequence[Run]) -> dict[str, float]:
    """Return the seconds of each student's runs on one core, from a few timed steps of each."""
    found: dict[str, float] = {}
    timers: dict[tuple[str, ...], TrialTimer] = {}
    for run in runs:
        study, dataset, _ = run.data()
        if run.study_keys not in timers:
            loading = LoadingTime.measured(dataset, study).in_trials(study)
            timers[run.study_keys] = TrialTimer(
                requirements_of(study, dataset.info), dataset, (), loading
            )
        timer = timers[run.study_keys]
        found[run.student] = found.get(run.student, 0.0) + timer.seconds(run.recipe, [])
    return found


def _carried_out(runs: Sequence[Run], parallel: int) -> Iterator[dict[str, Scalar]]:
    """Yield the line of each run as it ends, from processes of one thread."""
    for run in runs:
        run.data()  # the processes read what is prepared here
    with ProcessPoolExecutor(parallel, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(measured, run) for run in runs]):
            yield future.result()


def _append(file: Path, line: Mapping[str, Scalar]) -> None:
    new = not file.exists()
    with file.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of the images")
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--students", nargs="+", default=STUDENTS)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--runs", type=int, help="end after this many runs")
    parser.add_argument("--set", nargs="*", default=[], help="further keys of the study")
    parser.add_argument("--plan", action="store_true", help="print the expected time alone")
    parser.add_argument("--report", action="store_true", help="print the effects alone")
    return parser.parse_args()


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    if not options.report:
        left = left_of(runs_of(options), read(options.out))[: options.runs]
        seconds = expected_seconds(left)
        for student, expected in seconds.items():
            print(f"{student}: {expected / 3600:.2f} core hours")
        hours = sum(seconds.values()) / 3600 / options.parallel
        print(f"{len(left)} runs, about {hours:.2f} hours in {options.parallel} processes")
        if options.plan:
            return
        for line in _carried_out(left, options.parallel):
            _append(options.out, line)
            print(f"{line['student']}, run {line['run']}: {line['accuracy'] or line['failure']}")
    print("\n".join(report(read(options.out), FACTORS)))


if __name__ == "__main__":
    main()
