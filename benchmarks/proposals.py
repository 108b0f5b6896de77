"""Measures the processor time of the sampler `gp` as a study grows.

    python -m benchmarks.proposals [--trials 1000 10000] [--workers 512] [--repeats 70]

The recipes are those of the made-up problem of benchmarks.samplers; each trained student has two
prunings as branches. With so many trials known, the Markdown table shows the seconds

    at resume: to learn all trials at once, up to the first proposal;
    a proposal: for a proposal with its branches, after a trial has ended; the mean;
    512 workers: for proposals with their branches for so many free workers, without a new result.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.problem import Problem
from benchmarks.synthetic_problem import synthetic_problem
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler
from search.tuner.branching import branches_of
from spaces.recipe import Recipe

_PRUNINGS = 2


def _sampler(problem: Problem, name: str = "gp") -> Sampler:
    return Sampler(
        problem.space,
        name=name,
        seed=0,
        goal=replace(problem.goal, weight=0.5),
        costs=CostSource(problem.predict),
        budget=problem.budget,
    )


def _students(problem: Problem, count: int) -> Iterator[tuple[Recipe, bool]]:
    """Yield random recipes within the budget, and whether each is a branch of another one."""
    random, given = _sampler(problem, "random"), 0
    while given < count:
        recipe = random.ask()
        assert recipe is not None
        if problem.refuse(recipe):
            continue
        branches = [one for one in _branches(problem, recipe) if random.expect(one)]
        for place, one in enumerate([recipe, *branches]):
            yield one, place > 0
            given += 1


def _branches(problem: Problem, recipe: Recipe, sampler: Sampler | None = None) -> list[Recipe]:
    def may_fit(branch: Recipe) -> bool:
        return problem.refuse(branch) is None

    if sampler is None:
        return branches_of(recipe, problem.space, prunings=_PRUNINGS, may_fit=may_fit)
    found = branches_of(
        recipe,
        problem.space,
        prunings=_PRUNINGS,
        may_fit=may_fit,
        promising=sampler.promising,
    )
    return [branch for branch in found if sampler.expect(branch)]


def _propose(problem: Problem, sampler: Sampler) -> tuple[Recipe, list[Recipe]]:
    recipe = sampler.ask()
    assert recipe is not None
    return recipe, _branches(problem, recipe, sampler)


def _end(
    problem: Problem, sampler: Sampler, recipe: Recipe, branches: list[Recipe], seed: int
) -> None:
    sampler.tell(recipe, problem.run(recipe, seed))
    for branch in branches:
        sampler.tell(branch, problem.run(branch, seed), branch=True)


def measure(trials: int, *, workers: int, repeats: int) -> str:
    """Return a line of the table."""
    problem = synthetic_problem()
    sampler = _sampler(problem)
    outcomes = [
        (recipe, problem.run(recipe, seed=0), is_branch)
        for recipe, is_branch in _students(problem, trials)
    ]
    start = time.process_time()
    for recipe, outcome, is_branch in outcomes:
        sampler.expect(recipe)
        sampler.tell(recipe, outcome, branch=is_branch)
    running = [_propose(problem, sampler)]
    resume = time.process_time() - start
    start = time.process_time()
    for _ in range(repeats):
        _end(problem, sampler, *running.pop(), seed=0)
        running.append(_propose(problem, sampler))
    proposal = (time.process_time() - start) / repeats
    start = time.process_time()
    running += [_propose(problem, sampler) for _ in range(workers)]
    filling = time.process_time() - start
    return f"| {trials:,} | {resume:.1f} | {proposal:.2f} | {filling:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", nargs="+", type=int, default=[1000, 10_000])
    parser.add_argument("--workers", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=70)
    options = parser.parse_args()
    print(f"| trials | at resume | a proposal | {options.workers} workers |")
    print("|---|---|---|---|")
    for trials in options.trials:
        print(
            measure(trials, workers=options.workers, repeats=options.repeats),
            flush=True,
        )


if __name__ == "__main__":
    main()
