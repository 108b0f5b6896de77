"""Macro F1 as a study's objective, beside accuracy, on imbalanced traffic signs.

    python -m benchmarks.imbalanced_signs DATA --folder FOLDER --out CSV
    python -m benchmarks.imbalanced_signs --report --out CSV

DATA is the German Traffic Sign Recognition Benchmark: `train/<class>/<track>_<frame>.png` and
`test/<class>/<number>.png`. A seed makes the data imbalanced: it draws 16 classes of the 43. Four
of them keep 24 tracks and 90 test images each, the others 4 tracks and 15 test images. Of each
track, every fifth frame is kept, because the 30 frames of a track show one sign. The test images
are official ones, as imbalanced as the training images.

For each seed two studies search the same space, with equal settings, one with `search.objective:
accuracy` and one with `macro_f1`. What matters for rare classes is open: class weights, balanced
sampling, the loss on the labels, and distillation. The student that each study chooses is tested
once. Its row is appended to the CSV as soon as its study has ended. The same command goes on where
an interrupted run stopped, and skips what the CSV holds. Both studies share the prepared images. A
trained stage is cached with the study's metric, so no trial of one study is taken for the other.
"""

import argparse
import csv
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from search.config.study import Study
from search.progress import SilentCallback
from search.records import StudyRecord, TrialRecord
from search.run import resume_study, run_study
from search.storage.storage import Store

OBJECTIVES = ("accuracy", "macro_f1")
METRICS = ("macro_f1", "accuracy", "balanced_accuracy", "worst_class_recall")
COLUMNS = (
    "seed",
    "objective",
    "trials",
    "epochs",
    "trial",
    *(f"validation_{name}" for name in METRICS),
    *(f"test_{name}" for name in METRICS),
    *(f"teacher_test_{name}" for name in METRICS[:2]),
    "search_s",
    "recipe",
)
_CLASSES, _LARGE = 16, 4
_TRACKS = {True: 24, False: 4}
_TEST_IMAGES = {True: 90, False: 15}
_EVERY = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="the folder of the data")
    parser.add_argument("--folder", type=Path, help="keeps all that the run makes")
    parser.add_argument("--out", type=Path, required=True, help="the CSV of the results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8, help="trials of each study")
    parser.add_argument("--epochs", type=int, default=24, help="epochs of each trial")
    parser.add_argument("--report", action="store_true", help="print the table, and run nothing")
    options = parser.parse_args()
    if not options.report:
        if options.data is None or options.folder is None:
            parser.error("a run needs DATA and --folder")
        for seed in range(options.seeds):
            for objective in OBJECTIVES:
                _add_row(options, seed, objective)
    sys.stdout.write("\n".join(table(_read(options.out))) + "\n")


def thinned(data: Path, folder: Path, seed: int) -> None:
    """Copy the kept images of the data into a folder; do nothing if it is there.

    Args:
        data: the folder of the data.
        folder: the folder to make, with `train` and `test`.
        seed: the seed that draws the classes, the large ones, the tracks and the test images.
    """
    if folder.exists():
        return
    draw = np.random.default_rng(seed)
    known = sorted(path.name for path in (data / "train").iterdir() if path.is_dir())
    classes = draw.choice(known, min(_CLASSES, len(known)), replace=False).tolist()
    large = set(classes[:_LARGE])
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name in classes:
        tracks = _tracks(data / "train" / name)
        count = min(_TRACKS[name in large], len(tracks))
        chosen = draw.choice(sorted(tracks), count, replace=False).tolist()
        frames = [frame for track in chosen for frame in tracks[track][::_EVERY]]
        tests = sorted((data / "test" / name).iterdir())
        places = draw.permutation(len(tests))[: _TEST_IMAGES[name in large]]
        _copy(frames, unfinished / "train" / name)
        _copy([tests[place] for place in places], unfinished / "test" / name)
    unfinished.rename(folder)


def _tracks(folder: Path) -> dict[str, list[Path]]:
    """Return the frames of each track of a class, in their order."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        found[path.stem.partition("_")[0]].append(path)
    return found


def _copy(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def study_of(folder: Path, *, objective: str, seed: int, trials: int, epochs: int) -> Study:
    """Return the study of one objective and one seed."""
    return Study.model_validate(
        {
            "study": f"{objective}-{seed}-{trials}-{epochs}",
            "seed": seed,
            "data": {
                "source": "folder",
                "path": folder / f"images-{seed}",
                "groups": "prefix",
                "image_size": 24,
                "validation_share": 0.25,
                "augment": {"level": "light", "flip": False},
            },
            "teacher": {
                "model": "test_resnet",
                "stem": "half",
                "train": {"epochs": 20, "patience": 20, "batch_size": 32, "learning_rate": 5e-3},
            },
            "space": {
                "student": {"timm": {"model": "test_efficientnet", "stem": "small"}},
                "training": {
                    "standard": {
                        "epochs": epochs,
                        "batch_size": 32,
                        "learning_rate": {"low": 2e-3, "high": 2e-2, "log": True},
                        "label_loss": ["cross_entropy", "bce"],
                        "class_weights": ["none", "inverse", "effective"],
                        "sampling": ["uniform", "balanced"],
                    }
                },
                "distillation": {
                    "labels": None,
                    "soft_targets": {"temperature": [2.0, 4.0], "weight": [0.5, 0.9]},
                },
                "pruning": "none",
                "quantization": "float32",
            },
            "search": {
                "objective": objective,
                "minimize": ["size"],
                "goal": "best",
                "trials": trials,
                "branches": 0,
                "stopping": False,
                "views": 4,
            },
            "run": {
                "parallel": 1,
                "cpus": 1,
                "storage": f"sqlite:///{folder / 'store.db'}",
                "artifacts": folder / "artifacts",
                "cache": folder / "cache",
            },
        }
    )


def _add_row(options: argparse.Namespace, seed: int, objective: str) -> None:
    """Run the study of a seed and an objective, and append its row, unless the CSV holds it."""
    asked = (str(seed), objective, str(options.trials), str(options.epochs))
    if any(tuple(row[name] for name in COLUMNS[:4]) == asked for row in _read(options.out)):
        return
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    thinned(options.data, folder / f"images-{seed}", seed)
    study = study_of(
        folder, objective=objective, seed=seed, trials=options.trials, epochs=options.epochs
    )
    with Store.open(study.run.storage) as store:
        run = resume_study if study.study in store.names() else run_study
        best = run(study, store, SilentCallback())
        row = _row(study, best, store.study(study.study), epochs=options.epochs)
    is_new = not options.out.exists()
    with options.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    sys.stdout.write(f"{objective}, seed {seed}: macro F1 {row['test_macro_f1']}\n")
    sys.stdout.flush()


def _row(study: Study, best: TrialRecord, record: StudyRecord, *, epochs: int) -> dict[str, object]:
    assert best.outcome is not None
    assert record.teacher is not None
    open_values = study.search_space().distributions()
    recipe = {
        key: value
        for key, value in best.params.items()
        if key in open_values and open_values[key].count() > 1
    }
    parts = {
        "validation_": (best.outcome.quality, METRICS),
        "test_": (best.test, METRICS),
        "teacher_test_": (record.teacher.test, METRICS[:2]),
    }
    measured = {
        f"{part}{name}": f"{quality[name].value:.4f}"
        for part, (quality, names) in parts.items()
        for name in names
    }
    return {
        "seed": study.seed,
        "objective": study.search.objective,
        "trials": study.search.trials,
        "epochs": epochs,
        "trial": best.number,
        **measured,
        "search_s": round(record.elapsed_s),
        "recipe": "; ".join(f"{key.rpartition('.')[2]} {value}" for key, value in recipe.items()),
    }


def _read(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a Markdown table: means and standard deviations on test images by objective.

    Only seeds whose both studies have ended count. The last row has the differences by seed.
    """
    by_seed: dict[tuple[str, ...], dict[str, Mapping[str, str]]] = defaultdict(dict)
    for row in rows:
        by_seed[row["seed"], row["trials"], row["epochs"]][row["objective"]] = row
    pairs = [found for found in by_seed.values() if found.keys() >= set(OBJECTIVES)]
    head = ["objective", "seeds", *(f"{name}, test" for name in METRICS)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    values = {
        (objective, name): [100 * float(pair[objective][f"test_{name}"]) for pair in pairs]
        for objective in OBJECTIVES
        for name in METRICS
    }
    for objective in OBJECTIVES:
        cells = [_spread(values[objective, name]) for name in METRICS]
        lines.append(f"| {' | '.join([objective, str(len(pairs)), *cells])} |")
    differences = [
        _spread(
            [
                after - before
                for before, after in zip(*(values[one, name] for one in OBJECTIVES), strict=True)
            ],
            sign="+",
        )
        for name in METRICS
    ]
    lines.append(f"| {' | '.join(['difference', str(len(pairs)), *differences])} |")
    return lines


def _spread(values: Sequence[float], *, sign: str = "") -> str:
    if not values:
        return "–"
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):{sign}.2f}{deviation}"


if __name__ == "__main__":
    main()
