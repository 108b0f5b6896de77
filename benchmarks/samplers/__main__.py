"""Compares who proposes recipes, at equal numbers of trained trials.

    python -m benchmarks.samplers                             on a made-up problem
    python -m benchmarks.samplers --problems recorded         on recorded trainings
    python -m benchmarks.samplers --problems nasbench201 --table cifar10.csv --admission yes
                                                              on networks of NAS-Bench-201

`--problems` selects problems by the beginnings of their names (problems.py). With admission, a
recipe over the budget is not trained, and the sampler is told that it was refused; without it, the
recipe is trained, and then breaks the budget. Rows are appended to the CSV as runs end; runs that
it holds are not repeated. `--report` prints the tables, and runs nothing. They show the median and
the quartiles over the seeds of

    hypervolume after 10, 25, 50 and 100 trained trials, as a share of the box between the budget's
    limits, the accuracy 1 and the least accuracy; of the feasible trials only;
    the best feasible accuracy after as many; the mean distance to the best accuracy of all recipes
    within the budget, in points; the share of trained trials that are feasible; the trained trials
    until the first feasible one; milliseconds of processor time that the sampler takes for each
    trained trial, refused proposals included.

With `--images` a sampler is told accuracies as a search measures them, on that many images; the
tables show the exact ones all the same. With NAS-Bench-201 a sampler is told the accuracy of one
training, hypervolumes are shares of that of all cells within the budget, and accuracies are means
over the trainings of a cell. The sampler `botorch` must be installed: `pip install botorch`.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.samplers.problems import PROBLEMS
from benchmarks.samplers.rows import ROWS, append, missing, read, table
from benchmarks.samplers.runs import BOTORCH, GP, SAMPLERS, Result, Setting, run
from search.objectives.goal import BEST_WEIGHT


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    for given in options.problems:
        if not any(name.startswith(given) for name in PROBLEMS):
            parser.error(f"--problems must begin the name of {'; '.join(PROBLEMS)}, not {given!r}")
    settings = [*settings_of(options)]
    if not options.report:
        left = missing(settings, read(options.out))
        with ProcessPoolExecutor(options.jobs) as pool:
            waiting = {pool.submit(_run, options.table, one): one for one in left}
            for future in as_completed(waiting):
                append(options.out, waiting[future], future.result())
    chosen = {one.problem for one in settings}
    for problem in PROBLEMS:
        rows = [one for one in read(options.out) if one["problem"] == problem]
        if problem in chosen and rows:
            print("\n".join([problem, "", *table(rows), ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--problems", nargs="+", default=["made-up"], help="beginnings of names")
    parser.add_argument("--table", type=Path, help="the table of NAS-Bench-201, CSV")
    parser.add_argument("--out", type=Path, default=ROWS, help="the CSV of the runs")
    parser.add_argument(
        "--samplers",
        nargs="+",
        choices=SAMPLERS,
        default=[one for one in SAMPLERS if one != BOTORCH],
    )
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
    parser.add_argument("--images", type=int, help="tell accuracies as measured on so many images")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100, help="trained trials of each run")
    parser.add_argument("--parallel", type=int, default=1, help="trials at a time")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--report", action="store_true", help="print the tables, and run nothing")
    return parser


def settings_of(options: argparse.Namespace) -> Iterator[Setting]:
    """Yield the settings of the options: all of one seed before those of the next."""
    for seed in range(options.seeds):
        for problem in PROBLEMS:
            if not problem.startswith(tuple(options.problems)):
                continue
            for sampler in options.samplers:
                for weight in options.weights if sampler == GP else [0.0]:
                    for admission in [True] if sampler == BOTORCH else options.admission:
                        yield Setting(
                            problem=problem,
                            sampler=sampler,
                            weight=weight,
                            admission=admission,
                            seed=seed,
                            trials=options.trials,
                            parallel=options.parallel,
                            images=options.images,
                        )


def _run(path: Path | None, setting: Setting) -> Result:
    return run(PROBLEMS[setting.problem](path), setting)


if __name__ == "__main__":
    main()
