"""Trains a grid of real recipes on Fashion-MNIST, for samplers to be compared on.

    python -m benchmarks.record_recipes DATA --out benchmarks/recipes.csv --cache FOLDER

DATA is the folder of Fashion-MNIST's four files. 105 trainings (seven students, three learning
rates, labels or soft targets of two temperatures and weights), each used for ten students (four
shares of channels cut and none, in float and in int8): 1,050 recipes, each a line of the table that
recorded_problem.py reads. Recipes in the table are not trained again, so the program can be
stopped and restarted. Afterwards, on an otherwise idle machine,

    python -m benchmarks.record_recipes DATA --out benchmarks/recipes.csv --cache FOLDER --retime

measures the latency of every shape again, all shapes in turn, and writes it into every line.
"""

import argparse
import csv
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from search.objectives.limits import LATENCY
from search.objectives.metrics import ACCURACY

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.progress import track

from benchmarks.recorded_problem import read_lines
from search.config.loader import load_study
from search.config.study import Study
from search.cost_model.cost_table import shape_of
from search.cost_model.dry_run import dry_run
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import StudyContext, open_context
from search.pipeline.trial import finish, run_trial
from search.progress import SilentCallback
from search.records import Outcome, Scalar
from spaces.recipe import Recipe

_FILE = Path(__file__).parent / "record_recipes.yaml"
_RATIOS = (0.2, 0.4, 0.6, 0.75)
_FORMATS = ("float32", "int8_static")
_EPOCHS = 4
_SEED = 0


def trainings(study: Study) -> Iterator[dict[str, Scalar]]:
    """Yield the grid: flat parameters of student, training and distillation."""
    models = study.space["student"]["timm"]["model"]
    batches: list[dict[str, Scalar]] = [{"distillation": "labels"}]
    for temperature, weight in itertools.product((2.0, 6.0), (0.4, 0.8)):
        batches.append(
            {
                "distillation": "soft_targets",
                "distillation.soft_targets.temperature": temperature,
                "distillation.soft_targets.weight": weight,
            }
        )
    for model, rate, batch in itertools.product(models, (3e-3, 8e-3, 2e-2), batches):
        yield {
            "student": "timm",
            "student.timm.model": model,
            "training": "standard",
            "training.standard.epochs": _EPOCHS,
            "training.standard.learning_rate": rate,
            **batch,
        }


def students(trained: Mapping[str, Scalar]) -> list[Recipe]:
    """Return the recipes that share one training, the uncut float student first."""
    prunings: list[dict[str, Scalar]] = [{"pruning": "none"}]
    prunings += [{"pruning": "magnitude", "pruning.magnitude.ratio": r} for r in _RATIOS]
    return [
        Recipe.from_params({**trained, **pruning, "quantization": name})
        for pruning, name in itertools.product(prunings, _FORMATS)
    ]


def record(recipes: list[Recipe], context: StudyContext) -> list[dict[str, object]]:
    """Train the first recipe, make the others of its student, and return the table's lines."""
    trial = run_trial(recipes[0], context, number=0, seed=_SEED, branches=recipes[1:])
    outcome = finish(trial)
    found = [outcome, *(branch.outcome for branch in outcome.branches)]
    return [_line(r, o) for r, o in zip(recipes, found, strict=False) if o.quality]


def _line(recipe: Recipe, outcome: Outcome) -> dict[str, object]:
    assert outcome.cost
    assert outcome.quality
    cost = outcome.cost
    curve = [point.score for point in outcome.epochs if point.stage == "distil"]
    return {
        **recipe.to_params(),
        **{name: cost.get(name) for name in ("size_bytes", "parameters", "macs", "latency_ms")},
        ACCURACY.name: outcome.quality[ACCURACY.name].value,
        **{f"accuracy_{epoch}": accuracy for epoch, accuracy in enumerate(curve, start=1)},
    }


def _write(path: Path, lines: list[dict[str, object]]) -> None:
    """Add lines to the table; a column that the first ones lack is added to all."""
    old: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline="") as file:
            old = list(csv.DictReader(file))
    columns = list(dict.fromkeys(key for line in (*old, *lines) for key in line))
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*old, *lines])
    beside.replace(path)


def _retime(path: Path, context: StudyContext) -> None:
    with path.open(newline="") as file:
        lines: list[dict[str, object]] = list(csv.DictReader(file))
    recipes = [line.recipe for line in read_lines(path)]
    costs = {}
    for recipe in track(recipes, "measuring latencies"):
        if (shape := shape_of(recipe)) not in costs:
            costs[shape] = dry_run(recipe, context.requirements)
    for line, recipe in zip(lines, recipes, strict=True):
        line["latency_ms"] = costs[shape_of(recipe)][LATENCY.cost]
    path.unlink()
    _write(path, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--retime", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = load_study(
        _FILE,
        [
            f"data.path={options.data.absolute()}",
            f"run.cache={options.cache.absolute()}",
            f"run.artifacts={options.cache.absolute() / 'artifacts'}",
        ],
    )
    context = open_context(prepare_context(study, SilentCallback())[0])
    if options.retime:
        _retime(options.out, context)
        return
    known = {line.recipe for line in read_lines(options.out)} if options.out.exists() else set()
    for trained in track(list(trainings(study)), "training"):
        recipes = students(trained)
        if recipes[0] not in known:
            _write(options.out, record(recipes, context))


if __name__ == "__main__":
    main()
