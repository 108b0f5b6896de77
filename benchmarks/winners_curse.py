r"""How much the best measured student is overrated, and what an estimate mends.

    python -m benchmarks.winners_curse --seeds 20                 on a made-up problem
    python -m benchmarks.winners_curse --seeds 20 --nasbench201 cifar10.csv \
        --device 1080ti --parameters 587000 --latency 8.81ms      on networks of NAS-Bench-201

A search is told accuracies on a few validation images: of each student, a binomial number of the
images is right, by the true accuracy of its training. After so many
trained students, one is chosen: by its measured accuracy, or by its estimate
(search/analysis/estimates.py). The program prints, in points, as means and standard deviations over
the seeds:

    told too high: the chosen student's stated accuracy minus its true one;
    given up: the best true accuracy of all students minus that of the chosen one;
    inside: the share of students whose true accuracy is within the 95% interval.
"""

import argparse
import csv
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.nasbench201 import DEVICES, nasbench201_problem
from benchmarks.problem import Problem
from benchmarks.synthetic_problem import synthetic_problem
from search.analysis.estimates import estimates
from search.objectives.metrics import ACCURACY
from search.objectives.units import parse_milliseconds
from search.records import Measurement, TrialRecord, TrialState
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler

_START = datetime(2026, 1, 1, tzinfo=UTC)
_PATIENCE = 500


@dataclass(frozen=True)
class Choice:
    """A search's chosen student, all in accuracy from 0 to 1.

    Attributes:
        rule: how it was chosen.
        seed: the seed of the search.
        told: the stated accuracy.
        own: its training's accuracy.
        best: the best training's accuracy of all students.
        inside: the share of students whose accuracy is within the stated interval.
    """

    rule: str
    seed: int
    told: float
    own: float
    best: float
    inside: float


@dataclass(frozen=True)
class _Student:
    record: TrialRecord
    own: float
    measured: float


def choices(
    problem: Problem, *, sampler: str, students: int, images: int, seed: int
) -> list[Choice]:
    """Run one search; return its choice by each rule."""
    tried = _tried(problem, sampler=sampler, students=students, images=images, seed=seed)
    found = estimates([one.record for one in tried], problem.goal)
    best = max(one.own for one in tried)
    intervals = [found[one.record.number] for one in tried]
    wald = [
        ACCURACY.confidence(one.measured, None, images) or (one.measured, one.measured)
        for one in tried
    ]
    told: dict[str, tuple[Callable[[_Student], float], list[tuple[float, float]]]] = {
        "measured": (lambda one: one.measured, wald),
        "estimate": (
            lambda one: found[one.record.number].value,
            [(one.low, one.high) for one in intervals],
        ),
    }
    result = []
    for rule, (value, bounds) in told.items():
        chosen = max(tried, key=value)
        inside = fmean(
            low <= one.own <= high for one, (low, high) in zip(tried, bounds, strict=True)
        )
        result.append(Choice(rule, seed, value(chosen), chosen.own, best, inside))
    return result


def _tried(
    problem: Problem, *, sampler: str, students: int, images: int, seed: int
) -> list[_Student]:
    """Return the trained students of a search."""
    proposer = Sampler(
        problem.space,
        name=sampler,
        seed=seed,
        goal=replace(problem.goal, weight=0.5),
        costs=CostSource(problem.predict),
        budget=problem.budget,
    )
    draw = np.random.default_rng(seed)
    tried: list[_Student] = []
    for _ in range(_PATIENCE * students):
        recipe = proposer.ask()
        if recipe is None or len(tried) == students:
            break
        if (refusal := problem.refuse(recipe)) is not None:
            proposer.tell(recipe, refusal)
            continue
        trained = problem.run(recipe, seed)
        own = (
            trained.quality[ACCURACY.name].value
            if problem.told is None
            else problem.told(recipe, seed)
        )
        measured = float(draw.binomial(images, own)) / images
        error = (measured * (1 - measured) / images) ** 0.5
        outcome = replace(trained, quality={ACCURACY.name: Measurement(measured, error)})
        proposer.tell(recipe, outcome)
        record = TrialRecord(
            study="winners_curse",
            number=len(tried),
            state=TrialState.COMPLETE,
            params=recipe.to_params(),
            seed=seed,
            started_at=_START,
            finished_at=_START,
            outcome=outcome,
        )
        tried.append(_Student(record, own, measured))
    return tried


def table(found: Sequence[Choice]) -> str:
    """Return the comparison in Markdown, a line for each rule."""
    lines = ["| chosen by | seeds | told too high | given up | inside |", "|---|---|---|---|---|"]
    for rule in dict.fromkeys(one.rule for one in found):
        own = [one for one in found if one.rule == rule]
        told = _spread([100 * (one.told - one.own) for one in own])
        given_up = _spread([100 * (one.best - one.own) for one in own])
        inside = fmean(one.inside for one in own)
        lines.append(f"| {rule} | {len(own)} | {told} | {given_up} | {inside:.0%} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _of_seed(arguments: argparse.Namespace, seed: int) -> list[Choice]:
    problem = (
        synthetic_problem()
        if arguments.nasbench201 is None
        else nasbench201_problem(
            arguments.nasbench201,
            device=arguments.device,
            parameters=arguments.parameters,
            latency_ms=parse_milliseconds(arguments.latency),
        )
    )
    return choices(
        problem,
        sampler=arguments.sampler,
        students=arguments.students,
        images=arguments.images,
        seed=seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nasbench201", type=Path, help="the table of NAS-Bench-201, CSV")
    parser.add_argument("--device", choices=DEVICES, default="1080ti")
    parser.add_argument("--parameters", type=float, default=587_000)
    parser.add_argument("--latency", default="8.81ms")
    parser.add_argument("--sampler", default="gp")
    parser.add_argument("--students", type=int, default=67)
    parser.add_argument("--images", type=int, default=359)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="writes the choices, CSV")
    arguments = parser.parse_args()
    work = partial(_of_seed, arguments)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = [one for each in pool.map(work, range(arguments.seeds)) for one in each]
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*asdict(found[0])], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(one) for one in found)
    print(table(found))


if __name__ == "__main__":
    main()
