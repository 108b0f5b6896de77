r"""Compares who proposes recipes, at equal numbers of trained trials.

    python -m benchmarks.samplers                                 on a made-up problem
    python -m benchmarks.samplers --table recipes.csv --size 300KB --latency 0.5ms
                                                                  on recorded trainings
    python -m benchmarks.samplers --nasbench201 cifar10.csv --device pi4 --parameters 350000 \
        --latency 15ms                                            on networks of NAS-Bench-201

Every sampler runs with admission (a recipe over the budget is not trained, and the sampler is told
that it was refused) and without it (the recipe is trained, and then breaks the budget). The program
prints a Markdown table: median and quartiles over the seeds of

    hypervolume after 10, 25, 50 and 100 trained trials, as a share of the box between the budget's
    limits, the accuracy 1 and the least accuracy; of the feasible trials only;
    the best feasible accuracy after as many; the share of trained trials that are feasible; the
    trained trials until the first feasible one; milliseconds of processor time that
    the sampler takes for each trained trial, refused proposals included.

With `--validation-images` a sampler sees accuracies as a search does, on that many images; the
table shows the exact ones all the same. With NAS-Bench-201 a sampler is told the accuracy of one
training, hypervolumes are shares of that of all cells within the budget, and accuracies are means
over the trainings of a cell.

The table's format is described in recorded_problem.py.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.nasbench201 import DEVICES, nasbench201_problem
from benchmarks.problem import Problem
from benchmarks.recorded_problem import recorded_problem
from benchmarks.synthetic_problem import synthetic_problem
from search.objectives.dominance import hypervolume
from search.objectives.goal import BEST_WEIGHT
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
    """One run: a sampler, the weight of the best student, with or without admission, and a seed."""

    sampler: str
    weight: float
    feasibility: bool
    seed: int
    parallel: int
    trials: int


@dataclass(frozen=True)
class Result:
    """The result of a run; hypervolumes and best feasible accuracies at the marks it reached.

    `accuracy` is the best at the end.
    """

    setting: Setting
    hypervolumes: tuple[float, ...]
    accuracies: tuple[float, ...]
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
        goal=replace(problem.goal, weight=setting.weight),
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
        tuple(_best(problem, outcomes[:mark]) for mark in MARKS if mark <= len(outcomes)),
        _best(problem, outcomes),
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


def _points(problem: Problem, outcomes: Iterable[Outcome]) -> list[tuple[float, ...]]:
    """Return the feasible outcomes: accuracy, and each cost of the goal as a share of its limit."""
    limits = problem.budget.limits()
    names = [limit.cost for limit in problem.goal.costs]
    return [
        (one.quality[ACCURACY.name].value, *(one.cost[name] / limits[name] for name in names))
        for one in outcomes
        if one.quality
        and one.cost
        and one.cost.keys() >= {*names}
        and problem.budget.admits(one.cost)
    ]


def _volume(problem: Problem, outcomes: Sequence[Outcome]) -> float:
    """Return the hypervolume, as a share of that of all recipes where it is known."""
    height = 1 - problem.least_accuracy
    points = [((1 - accuracy) / height, *costs) for accuracy, *costs in _points(problem, outcomes)]
    corner = [1.0] * (1 + len(problem.goal.costs))
    return hypervolume(points, corner) / (problem.best_volume or 1.0)


def _best(problem: Problem, outcomes: Sequence[Outcome]) -> float:
    return max((accuracy for accuracy, *_ in _points(problem, outcomes)), default=0.0)


def table(results: Sequence[Result]) -> str:
    """Return the comparison in Markdown, a line for each sampler with and without admission."""
    marks = " | ".join(f"{what} {mark}" for what in ("HV", "best") for mark in MARKS)
    lines = [
        f"| sampler | admission | seeds | {marks} | feasible | first | ms |",
        "|---|---|---|" + "---|" * (2 * len(MARKS) + 3),
    ]
    by_kind: dict[tuple[str, bool], list[Result]] = defaultdict(list)
    for one in results:
        by_kind[_name(one.setting), one.setting.feasibility].append(one)
    for (sampler, feasibility), runs in by_kind.items():
        reached = [
            _spread([values[i] for values in found if i < len(values)], digits=digits)
            for digits, found in (
                (3, [one.hypervolumes for one in runs]),
                (4, [one.accuracies for one in runs]),
            )
            for i in range(len(MARKS))
        ]
        cells = [
            sampler,
            "yes" if feasibility else "no",
            str(len(runs)),
            *reached,
            f"{statistics.fmean(one.feasible_share for one in runs):.0%}",
            f"{statistics.median(one.first_feasible for one in runs):g}",
            f"{statistics.median(one.proposal_ms for one in runs):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _name(setting: Setting) -> str:
    return f"gp, weight {setting.weight:g}" if setting.sampler == "gp" else setting.sampler


def _spread(values: Sequence[float], *, digits: int) -> str:
    """Return the median and the quartiles, such as `.214 (.201–.225)`."""
    if not values:
        return "–"
    texts = [f"{value:.{digits}f}".lstrip("0") for value in np.quantile(values, (0.25, 0.5, 0.75))]
    return texts[1] if len(values) == 1 else f"{texts[1]} ({texts[0]}–{texts[2]})"


def _problem(arguments: argparse.Namespace) -> Problem:
    if arguments.nasbench201 is not None:
        problem = nasbench201_problem(
            arguments.nasbench201,
            device=arguments.device,
            parameters=arguments.parameters,
            latency_ms=parse_milliseconds(arguments.latency),
        )
    elif arguments.table is None:
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
        Setting(sampler, weight, feasibility, seed, arguments.parallel, arguments.trials)
        for sampler in arguments.samplers
        for weight in (arguments.weights if sampler == "gp" else [0.0])
        for feasibility in arguments.admission
        for seed in range(arguments.seeds)
    ]


def _run(arguments: argparse.Namespace, setting: Setting) -> Result:
    return run(_problem(arguments), setting)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, help="recorded trainings, CSV; else made up")
    parser.add_argument("--nasbench201", type=Path, help="the table of NAS-Bench-201, CSV")
    parser.add_argument("--device", choices=DEVICES, default="pi4", help="of that table")
    parser.add_argument("--parameters", type=float, default=350_000, help="the budget with it")
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
        "--weights", nargs="+", type=float, default=[0.0, BEST_WEIGHT], help="of `gp`: search.goal"
    )
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
