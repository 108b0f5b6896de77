"""Compares who proposes recipes, at equal numbers of trained trials.

    python -m benchmarks.samplers                                 on a made-up problem
    python -m benchmarks.samplers --table recipes.csv --size 300KB --latency 0.5ms
                                                                  on recorded trainings

Every sampler runs with admission (a recipe over the budget is not trained, and the sampler is told
that it was refused) and without it (the recipe is trained, and then breaks the budget). The program
prints a Markdown table: median and quartiles over the seeds of

    hypervolume after 10, 25, 50 and 100 trained trials, as a share of the box between the budget's
    limits, the accuracy 1 and the least accuracy; of the feasible trials only;
    the best feasible accuracy at the end; the share of trained trials that are feasible; the
    trained trials until the first feasible one; milliseconds of processor time that
    the sampler takes for each trained trial, refused proposals included.

With `--validation-images` a sampler sees accuracies as a search does, on that many images; the
table shows the exact ones all the same.

The table's format is described in recorded_problem.py.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.problem import Problem
from benchmarks.recorded_problem import recorded_problem
from benchmarks.synthetic_problem import synthetic_problem
from search.objectives.dominance import hypervolume
from search.objectives.limits import LATENCY, SIZE
from search.objectives.metrics import ACCURACY
from search.objectives.units import parse_bytes, parse_milliseconds
from search.records import Outcome
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe

MARKS = (10, 25, 50, 100)
SAMPLERS = ("random", "tpe", "nsga2", "optuna-gp", "gp")
# After this many refusals in a row the sampler is told no more of them: its proposals are trained.
_PATIENCE = 500


@dataclass(frozen=True)
class Setting:
    """One run: a sampler, with or without admission, and a seed."""

    sampler: str
    feasibility: bool
    seed: int
    parallel: int
    trials: int


@dataclass(frozen=True)
class Result:
    """The result of a run; hypervolumes at the marks that it reached."""

    setting: Setting
    hypervolumes: tuple[float, ...]
    accuracy: float
    feasible_share: float
    first_feasible: int
    proposal_ms: float


def run(problem: Problem, setting: Setting) -> Result:
    """Run one search. Its trainings cost no time, so only the sampler is timed."""
    sampler = Sampler(
        problem.space,
        name=setting.sampler,
        seed=setting.seed,
        costs=CostSource(problem.predict),
        budget=problem.budget,
    )
    running: list[Recipe] = []
    outcomes: list[Outcome] = []
    start = time.process_time()
    while len(outcomes) < setting.trials:
        while len(running) < setting.parallel and (
            recipe := _ask(sampler, problem, setting.feasibility)
        ):
            running.append(recipe)
        if not running:
            break
        recipe = running.pop(0)
        outcome = problem.run(recipe, setting.seed)
        sampler.tell(recipe, problem.validated(outcome, recipe, setting.seed))
        outcomes.append(outcome)
    seconds = time.process_time() - start
    feasible = [problem.budget.admits(outcome.cost) for outcome in outcomes if outcome.cost]
    return Result(
        setting,
        tuple(_volume(problem, outcomes[:mark]) for mark in MARKS if mark <= len(outcomes)),
        max((point[0] for point in _points(problem, outcomes)), default=0.0),
        statistics.fmean(feasible),
        feasible.index(True) + 1 if any(feasible) else setting.trials + 1,
        1000 * seconds / len(outcomes),
    )


def _ask(sampler: Sampler, problem: Problem, feasibility: bool) -> Recipe | None:  # noqa: FBT001
    for _ in range(_PATIENCE):
        recipe = sampler.ask()
        if recipe is None or not feasibility:
            return recipe
        refusal = problem.refuse(recipe)
        if refusal is None:
            return recipe
        sampler.tell(recipe, refusal)
    return sampler.ask()


def _points(problem: Problem, outcomes: Iterable[Outcome]) -> list[tuple[float, float, float]]:
    """Return the feasible outcomes: accuracy, and size and latency as shares of their limits."""
    limits = problem.budget.limits()
    return [
        (
            one.quality[ACCURACY.name].value,
            one.cost[SIZE.cost] / limits[SIZE.cost],
            one.cost[LATENCY.cost] / limits[LATENCY.cost],
        )
        for one in outcomes
        if one.quality and one.cost and LATENCY.cost in one.cost and problem.budget.admits(one.cost)
    ]


def _volume(problem: Problem, outcomes: Sequence[Outcome]) -> float:
    height = 1 - problem.least_accuracy
    points = [
        ((1 - accuracy) / height, size, latency)
        for accuracy, size, latency in _points(problem, outcomes)
    ]
    return hypervolume(points, (1.0, 1.0, 1.0))


def table(results: Sequence[Result]) -> str:
    """Return the comparison in Markdown, a line for each sampler with and without admission."""
    marks = " | ".join(f"HV {mark}" for mark in MARKS)
    lines = [
        f"| sampler | admission | seeds | {marks} | best accuracy | feasible | first | ms |",
        "|---|---|---|" + "---|" * (len(MARKS) + 4),
    ]
    kinds = dict.fromkeys((one.setting.sampler, one.setting.feasibility) for one in results)
    for sampler, feasibility in kinds:
        runs = [
            one
            for one in results
            if (one.setting.sampler, one.setting.feasibility) == (sampler, feasibility)
        ]
        volumes = [
            _spread([one.hypervolumes[i] for one in runs if i < len(one.hypervolumes)])
            for i in range(len(MARKS))
        ]
        cells = [
            sampler,
            "yes" if feasibility else "no",
            str(len(runs)),
            *volumes,
            _spread([one.accuracy for one in runs]),
            f"{statistics.fmean(one.feasible_share for one in runs):.0%}",
            f"{statistics.median(one.first_feasible for one in runs):g}",
            f"{statistics.median(one.proposal_ms for one in runs):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    """Return the median and the quartiles, such as `.214 (.201–.225)`."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.3f}".lstrip("0")
    low, middle, high = (
        f"{value:.3f}".lstrip("0")
        for value in statistics.quantiles(values, n=4, method="inclusive")
    )
    return f"{middle} ({low}–{high})"


def _problem(arguments: argparse.Namespace) -> Problem:
    if arguments.table is None:
        problem = synthetic_problem()
    else:
        problem = recorded_problem(
            arguments.table,
            size_bytes=parse_bytes(arguments.size),
            latency_ms=parse_milliseconds(arguments.latency),
            least_accuracy=arguments.least_accuracy,
        )
    return replace(problem, validation_images=arguments.validation_images)


def _settings(arguments: argparse.Namespace) -> list[Setting]:
    return [
        Setting(sampler, feasibility, seed, arguments.parallel, arguments.trials)
        for sampler in arguments.samplers
        for feasibility in arguments.admission
        for seed in range(arguments.seeds)
    ]


def _run(arguments: argparse.Namespace, setting: Setting) -> Result:
    return run(_problem(arguments), setting)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, help="recorded trainings, CSV; else made up")
    parser.add_argument("--size", default="300KB", help="the budget with a table, such as 300KB")
    parser.add_argument("--latency", default="1ms", help="the budget with a table, such as 0.5ms")
    parser.add_argument("--least-accuracy", type=float, default=0.5)
    parser.add_argument(
        "--validation-images",
        type=int,
        help="samplers are told accuracies as measured on so many images, not the exact ones",
    )
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument(
        "--admission",
        nargs="+",
        type=lambda word: {"no": False, "yes": True}[word],
        default=[False, True],
        help="no, yes or both",
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100, help="trained trials of each run")
    parser.add_argument("--parallel", type=int, default=1, help="trials at a time")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--results", type=Path, help="also write every run here, as JSON lines")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        waiting = [pool.submit(_run, arguments, setting) for setting in _settings(arguments)]
        results = []
        for future in waiting:
            results.append(future.result())
            if arguments.results:
                with arguments.results.open("a") as file:
                    file.write(json.dumps(asdict(results[-1])) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
