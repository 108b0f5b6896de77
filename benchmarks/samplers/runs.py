"""One run of a sampler on a problem."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.problem import Problem
from benchmarks.samplers.qlognehvi import QLogNEHVI
from search.objectives.dominance import hypervolume
from search.objectives.metrics import ACCURACY
from search.records import Outcome
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe

MARKS = (10, 25, 50, 100)
GP, BOTORCH = "gp", "botorch"
SAMPLERS = ("random", "tpe", "nsga2", "optuna-gp", BOTORCH, GP)
# After this many refusals in a row the sampler is told no more of them: its proposals are trained.
_PATIENCE = 500


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A run.

    Attributes:
        problem: the name of the problem.
        sampler: one of `SAMPLERS`.
        weight: of the best student, `search.goal`; only `gp` uses it.
        admission: whether a recipe over the budget is refused untrained.
        seed: the seed of the sampler and of the trainings.
        trials: the trained trials.
        parallel: trials at a time.
        images: the validation images on which the sampler is told accuracies; None: exact ones.
    """

    problem: str
    sampler: str
    weight: float = 0.0
    admission: bool = True
    seed: int = 0
    trials: int = 100
    parallel: int = 1
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run reached.

    Attributes:
        volumes: the hypervolume after each of `MARKS` that the run reached.
        accuracies: the best accuracy within the budget after each of these.
        accuracy: the best accuracy within the budget at the end.
        feasible_share: the share of the trained trials that are within the budget.
        first_feasible: the number of the first of them, from 1.
        proposal_ms: the sampler's processor time for each trained trial, in milliseconds.
        oracle: the best accuracy of all recipes within the budget; None if it is unknown.
    """

    volumes: tuple[float, ...]
    accuracies: tuple[float, ...]
    accuracy: float
    feasible_share: float
    first_feasible: int
    proposal_ms: float
    oracle: float | None = None


def run(problem: Problem, setting: Setting) -> Result:
    """Run one search. Its trainings cost no time, so only the sampler is timed."""
    problem = replace(problem, validation_images=setting.images)
    sampler = Sampler(
        problem.space,
        name=QLogNEHVI(problem, seed=setting.seed)
        if setting.sampler == BOTORCH
        else setting.sampler,
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
            recipe := _ask(sampler, problem, admission=setting.admission)
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
    reached = [outcomes[:mark] for mark in MARKS if mark <= len(outcomes)]
    return Result(
        volumes=tuple(_volume(problem, some) for some in reached),
        accuracies=tuple(_best(problem, some) for some in reached),
        accuracy=_best(problem, outcomes),
        feasible_share=statistics.fmean(feasible),
        first_feasible=feasible.index(True) + 1 if any(feasible) else setting.trials + 1,
        proposal_ms=1000 * seconds / len(outcomes),
        oracle=problem.best_accuracy,
    )


def _ask(sampler: Sampler, problem: Problem, *, admission: bool) -> Recipe | None:
    for _ in range(_PATIENCE):
        recipe = sampler.ask()
        if recipe is None or not admission:
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
