"""Comparison of recipes that differ in one thing: the harness of three benchmarks.

An arm replaces a few flat parameters of a base recipe; it is trained from several seeds, and
everything else stays the same. Results are appended to a CSV as they arrive; arms that the CSV
already holds are not trained again.
"""

import argparse
import csv
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from search.objectives.limits import LATENCY, MACS, SIZE
from search.objectives.metrics import ACCURACY, AGREEMENT

os.environ.setdefault("OMP_NUM_THREADS", "1")

from search.config.loader import load_study
from search.config.study import Study
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.pipeline.trial import finish, run_trial
from search.progress import SilentCallback
from search.records import Outcome, Scalar
from spaces.recipe import Recipe

STUDY = Path(__file__).parent / "fashion_mnist.yaml"
_COLUMNS = ("group", "arm", "seed", "accuracy", "agreement", "size_bytes", "latency_ms", "macs",
            "seconds", "failure")  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: parameters that replace those of the base recipe.

    Attributes:
        group: the arms of one group are compared with each other.
        name: shown in the table.
        params: flat parameters.
    """

    group: str
    name: str
    params: Mapping[str, Scalar]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of the options that the benchmarks share."""
    options = argparse.ArgumentParser(description=doc)
    options.add_argument("data", type=Path, help="the folder of Fashion-MNIST's four files")
    options.add_argument("--out", type=Path, required=True, help="the CSV")
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--student", default="test_efficientnet")
    options.add_argument("--only", default="", help="groups whose names hold this")
    return options


def run(
    arms: Sequence[Arm],
    options: argparse.Namespace,
    base: Mapping[str, Scalar],
    *,
    study_keys: Sequence[str] = (),
) -> None:
    """Train the arms that the CSV lacks, and print its table.

    Args:
        arms: the arms.
        options: the options of `parser`.
        base: the flat parameters of the recipe that each arm changes.
        study_keys: further keys of the study, such as `search.views=8`.
    """
    done = {(line["group"], line["arm"], line["seed"]) for line in read(options.out)}
    missing = [
        (seed, number, arm)
        for seed in range(options.seeds)  # every arm once before any twice
        for number, arm in enumerate(arms)
        if options.only in arm.group and (arm.group, arm.name, str(seed)) not in done
    ]
    if missing:
        spec, _ = prepare_context(study_of(options, study_keys), SilentCallback())
        context = open_context(spec)
    for seed, number, arm in missing:
        recipe = Recipe.from_params({**base, **arm.params})
        outcome = finish(run_trial(recipe, context, number=number, seed=seed))
        _append(options.out, arm, seed, outcome)
        print(f"{arm.group}: {arm.name}, seed {seed}: {_told(outcome)}", flush=True)
    print("\n".join(table(read(options.out))))


def study_of(options: argparse.Namespace, keys: Sequence[str]) -> Study:
    """Return the study in whose context arms are trained.

    Args:
        options: the options of `parser`.
        keys: further keys of the study, such as `search.views=8`.
    """
    return load_study(
        STUDY,
        [f"data.path={options.data}", f"data.train_images={options.images}",
         f"run.cache={options.cache}", f"run.artifacts={options.cache / 'artifacts'}",
         "space.distillation=[labels, soft_targets, fitnets]", "budget={}", *keys],
    )  # fmt: skip


def read(file: Path) -> list[dict[str, str]]:
    """Return the CSV's lines; an empty list if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def table(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a Markdown table: each arm's mean and standard deviation over its seeds."""
    groups: dict[str, dict[str, list[Mapping[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        groups[line["group"]][line["arm"]].append(line)
    rows = ["| what differs | arm | seeds | accuracy | bytes | latency, ms | MACs |"]
    rows.append("|---|---|---|---|---|---|---|")
    for group, arms in groups.items():
        for arm, own in arms.items():
            ended = [line for line in own if not line["failure"]]
            if not ended:
                rows.append(f"| {group} | {arm} | 0 of {len(own)} | {own[0]['failure']} | | | |")
                continue
            size, latency, macs = (
                mean(float(line[key]) for line in ended)
                for key in ("size_bytes", "latency_ms", "macs")
            )
            rows.append(
                f"| {group} | {arm} | {len(ended)} | {_spread(ended)} | {size:,.0f} "
                f"| {latency:.3f} | {macs:,.0f} |"
            )
    return rows


def _spread(lines: Sequence[Mapping[str, str]]) -> str:
    found = [float(line["accuracy"]) for line in lines]
    return f"{mean(found):.2%}" + (f" ± {stdev(found):.2%}" if len(found) > 1 else "")


def _append(file: Path, arm: Arm, seed: int, outcome: Outcome) -> None:
    cost, quality = outcome.cost, outcome.quality
    failure = outcome.reason or (outcome.failure.message if outcome.failure else "")
    values = (
        arm.group, arm.name, seed,
        *(quality[metric.name].value if quality else None for metric in (ACCURACY, AGREEMENT)),
        *((cost or {}).get(limit.cost) for limit in (SIZE, LATENCY, MACS)),
        round(sum(stage.seconds for stage in outcome.stages), 2),
        "" if quality and cost else " ".join(failure.split())[:300],
    )  # fmt: skip
    new = not file.exists()
    with file.open("a", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if new:
            writer.writerow(_COLUMNS)
        writer.writerow(values)


def _told(outcome: Outcome) -> str:
    if not outcome.quality:
        return outcome.reason or str(outcome.failure and outcome.failure.message)
    return f"{outcome.quality[ACCURACY.name].value:.2%}"
