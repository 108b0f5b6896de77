"""What a student loses by learning from cached logits of a few views instead of a live teacher.

    python -m benchmarks.cached_views DATA --cache FOLDER [--seeds 5] [--students NAME …]

DATA is the folder of Fashion-MNIST's four files. Each student is trained for the same epochs with

    live       a new view of every image in every epoch; the teacher runs in every step
    K views    the same K views in all epochs; the cache holds their logits (as in the product)
    clean      new views, but the logits of the unaugmented images: cheap, and wrong (Beyer et al.
               2021, arXiv:2106.05237)
    labels     new views, and no teacher

The program prints a Markdown table: accuracy on validation images, mean and standard deviation over
seeds, and the mean difference from `live` with its standard error, seed by seed.
"""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.progress import track
from torch import nn

from benchmarks.live_teacher import live_targets, live_teacher
from search.config.loader import load_study
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import StudyContext, open_context
from search.progress import SilentCallback
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from spaces.distillation.labels import Labels
from spaces.distillation.soft_targets import SoftTargets
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

_FILE = Path(__file__).parent / "time_to_frontier" / "problem.yaml"
_STUDENTS = ("test_efficientnet", "test_resnet", "lcnet_050")
_EPOCHS = 8
_VIEWS = (1, 2, 4, 8)
_LESSON = SoftTargets(temperature=4.0, weight=0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--students", nargs="+", default=list(_STUDENTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = load_study(
        _FILE,
        [
            f"data.path={options.data.absolute()}",
            f"run.cache={options.cache.absolute()}",
            f"run.artifacts={options.cache.absolute() / 'artifacts'}",
            f"search.views={max(_VIEWS)}",
        ],
    )
    context = open_context(prepare_context(study, SilentCallback())[0])
    plans = _plans(context, live_teacher(study, context.dataset))
    print("| student | targets | accuracy | less live |\n|---|---|---|---|")
    for student in options.students:
        found = {
            name: [_accuracy(student, context, replace(plan, seed=seed)) for seed in seeds]
            for name, plan in plans.items()
            for seeds in [track(range(options.seeds), f"{student}, {name}", transient=True)]
        }
        _print(student, found)


def _plans(context: StudyContext, teacher: nn.Module) -> Mapping[str, TrainingPlan]:
    assert context.targets
    live = TrainingPlan(
        stage="distil",
        training=Standard(epochs=_EPOCHS),
        distillation=_LESSON,
        epochs=_EPOCHS,
        validation=context.validation,
        views=replace(context.views, first=100, count=None),
        targets=live_targets(teacher, context.dataset),
        seed=0,
    )
    cached = {
        f"{count} views": replace(
            live, views=replace(context.views, count=count), targets=context.targets
        )
        for count in _VIEWS
    }
    clean = replace(live, targets=live_targets(teacher, context.dataset, clean=True))
    labels = replace(live, distillation=Labels(), targets=None)
    return {"live": live, **cached, "clean": clean, "labels": labels}


def _accuracy(student: str, context: StudyContext, plan: TrainingPlan) -> float:
    torch.manual_seed(plan.seed)
    network = context.requirements.build(Timm(model=student))
    *_, last = train(network, context.dataset, plan)
    return last.score


def _print(student: str, found: Mapping[str, Sequence[float]]) -> None:
    for name, accuracies in found.items():
        differences = [a - b for a, b in zip(accuracies, found["live"], strict=True)]
        error = stdev(differences) / math.sqrt(len(differences)) if name != "live" else 0.0
        less = "" if name == "live" else f"{fmean(differences):+.2%} ± {error:.2%}"
        print(
            f"| {student} | {name} | {fmean(accuracies):.2%} ± {stdev(accuracies):.2%} | {less} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
