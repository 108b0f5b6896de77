"""Recommends a student within a budget, and compares it with its neighbours. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.analysis.finals import SeedSpread, seed_spread, seeds_of, shipped
from search.analysis.pareto import best, chosen, cost_of, point_of, value_of
from search.errors import NoStudentFits
from search.objectives.budget import Budget, total_violation
from search.objectives.goal import Goal
from search.objectives.limit import Limit
from search.objectives.limits import limit_on
from search.records import TrialKind, TrialRecord, TrialState

# A cheaper student is shown if it costs at most this share of the chosen one.
_CHEAPER = 0.75


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A better student outside of the budget, and the limits that would admit it (`needs`)."""

    trial: TrialRecord
    needs: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended student and its neighbours.

    "Better" means a better value of the goal's metric.

    Attributes:
        chosen: the best student within the budget; a finalist, if one is within it.
        shipped: the student that is exported for it: its refit, or the chosen one itself.
        spread: how the metric of a chosen finalist varies over its seeds; None without seeds.
        runner_up: the second-best student within the budget; None if there is no other. Trials of
            the chosen finalist's recipe are left out.
        cheaper: the best student that costs at most three quarters of the chosen one in the goal's
            first cost, and no more in the other costs; None if there is none.
        upgrades: better students outside of the budget. For each limit that is the only broken
            limit of a better student, the one that exceeds it by the least. If all better students
            break several limits, the nearest of them.
        lost: the best trained trial that is better than the chosen one and broke the study's own
            budget, so that its student was not stored; None if there is none.
    """

    chosen: TrialRecord
    shipped: TrialRecord
    runner_up: TrialRecord | None
    cheaper: TrialRecord | None
    upgrades: tuple[Upgrade, ...]
    lost: TrialRecord | None = None
    spread: SeedSpread | None = None


def advise(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> Advice | None:
    """Choose a student among the trials; None if none is within the budget.

    Args:
        trials: the trials of one study.
        budget: the budget; it may differ from the study's.
        goal: the study's goal.
        floor: the worst acceptable value of the goal's metric.
    """
    complete = [trial for trial in trials if point_of(trial, goal) is not None]
    taken = best(complete, budget, goal, floor=floor)
    if taken is None:
        return None
    same = {trial.number for trial in seeds_of(taken, complete, goal)} | {taken.repeats}
    others = [trial for trial in complete if trial.number not in same]
    smaller = [trial for trial in others if _is_cheaper(trial, taken, goal)]
    return Advice(
        chosen=taken,
        shipped=shipped(taken, trials, budget),
        spread=seed_spread(taken, complete, goal),
        runner_up=best(others, budget, goal, floor=floor),
        cheaper=best(smaller, budget, goal, floor=floor),
        upgrades=_upgrades(others, budget, goal, chosen=taken),
        lost=_lost(trials, goal, chosen=taken),
    )


def advice_or_refusal(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> tuple[Advice | None, str]:
    """Return the advice and an empty text, or None and the reason why no student fits."""
    try:
        chosen(trials, budget, goal, floor=floor)
    except NoStudentFits as error:
        return None, str(error)
    return advise(trials, budget, goal, floor=floor), ""


def reasons(advice: Advice, budget: Budget, goal: Goal) -> list[str]:
    """Return sentences that compare the student with its neighbours and with a larger budget."""
    chosen, metric = advice.chosen, goal.metric
    within = f" within {budget}" if budget.limits() else "; the budget has no limit"
    lines = [
        f"Trial {chosen.number} has the best {metric.label}{within}.",
        *_final_lines(advice, goal),
    ]
    if advice.runner_up is not None:
        lines.append(f"The runner-up is {_beside(advice.runner_up, chosen, goal)}.")
    if advice.cheaper is not None and advice.cheaper != advice.runner_up:
        lines.append(f"A cheaper one is {_beside(advice.cheaper, chosen, goal)}.")
    lines += [_upgrade_text(upgrade, advice.chosen, budget, goal) for upgrade in advice.upgrades]
    if advice.upgrades:
        return lines
    if advice.lost is not None:
        lines.append(
            f"Trial {advice.lost.number} reached {metric.label} "
            f"{metric.format(value_of(advice.lost, goal))}, but broke the study's budget, so its "
            "student was not stored. A study with a larger budget may find it."
        )
    else:
        lines.append(f"No trial so far has a better {metric.label}, even with a larger budget.")
    return lines


def _final_lines(advice: Advice, goal: Goal) -> list[str]:
    """Return sentences about a chosen finalist: its origin, its seeds and its refit."""
    chosen, lines = advice.chosen, []
    if chosen.kind is TrialKind.FINAL:
        lines.append(
            f"It is a finalist: the recipe of trial {chosen.repeats}, trained to the end. "
            "Finalists are chosen before trials of the search."
        )
    if advice.spread is not None:
        lines.append(f"Finalists are compared by the mean: {advice.spread.text(goal.metric)}.")
    if advice.shipped != chosen:
        lines.append(
            f"Trial {advice.shipped.number} repeats its training with the validation images too, "
            "and is exported in its place."
        )
    return lines


def _is_cheaper(trial: TrialRecord, than: TrialRecord, goal: Goal) -> bool:
    first, *others = zip(goal.costs_of(cost_of(trial)), goal.costs_of(cost_of(than)), strict=True)
    return first[0] <= _CHEAPER * first[1] and all(own <= other for own, other in others)


def _upgrades(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, chosen: TrialRecord
) -> tuple[Upgrade, ...]:
    nearest: dict[tuple[str, ...], tuple[float, int, TrialRecord]] = {}
    for trial in trials:
        if not _is_better(trial, chosen, goal):
            continue
        excesses = budget.violations(cost_of(trial))
        broken = tuple(name for name, excess in excesses.items() if excess > 0)
        candidate = (total_violation(excesses), trial.number, trial)
        if broken and candidate[:2] < nearest.get(broken, (math.inf,))[:2]:
            nearest[broken] = candidate
    alone = [found for broken, found in nearest.items() if len(broken) == 1]
    selected = alone or sorted(nearest.values(), key=lambda found: found[:2])[:1]
    return tuple(
        Upgrade(trial=trial, needs=_needs(trial, budget))
        for _, _, trial in sorted(selected, key=lambda found: found[:2])
    )


def _lost(trials: Sequence[TrialRecord], goal: Goal, *, chosen: TrialRecord) -> TrialRecord | None:
    trained = [
        trial
        for trial in trials
        if trial.state is TrialState.INFEASIBLE
        and trial.outcome is not None
        and goal.value(trial.outcome) is not None
        and _is_better(trial, chosen, goal)
    ]
    return max(trained, key=lambda trial: _utility(trial, goal), default=None)


def _is_better(trial: TrialRecord, than: TrialRecord, goal: Goal) -> bool:
    return _utility(trial, goal) > _utility(than, goal)


def _utility(trial: TrialRecord, goal: Goal) -> float:
    return goal.metric.utility(value_of(trial, goal))


def _needs(trial: TrialRecord, budget: Budget) -> dict[str, float]:
    cost = cost_of(trial)
    excesses = budget.violations(cost)
    return {name: cost[name] for name, excess in excesses.items() if excess > 0}


def _beside(trial: TrialRecord, chosen: TrialRecord, goal: Goal) -> str:
    """Return text such as `trial 1: accuracy -2.00 points, size 25% smaller, latency the same`."""
    difference = goal.metric.difference(value_of(trial, goal), value_of(chosen, goal))
    cost, other = cost_of(trial), cost_of(chosen)
    compared = [
        f"{limit.label} {_compared(limit, cost[limit.cost] / other[limit.cost])}"
        for limit in goal.costs
        if cost.get(limit.cost) and other.get(limit.cost)
    ]
    return f"trial {trial.number}: {', '.join([f'{goal.metric.label} {difference}', *compared])}"


def _compared(limit: Limit, ratio: float) -> str:
    if abs(ratio - 1) < 0.005:
        return "the same"
    if ratio >= 2:
        return f"{ratio:.1f} times {limit.more}"
    return f"{abs(1 - ratio):.0%} {limit.less if ratio < 1 else limit.more}"


def _upgrade_text(upgrade: Upgrade, chosen: TrialRecord, budget: Budget, goal: Goal) -> str:
    bounds, metric = budget.limits(), goal.metric
    needs = " and ".join(
        f"{limit.label} up to {limit.format(bound)} instead of {limit.format(bounds[name])} "
        f"(+{bound / bounds[name] - 1:.0%})"
        for name, bound in upgrade.needs.items()
        for limit in [limit_on(name)]
    )
    value = value_of(upgrade.trial, goal)
    return (
        f"With {needs}, trial {upgrade.trial.number} would give {metric.label} "
        f"{metric.format(value)} ({metric.difference(value, value_of(chosen, goal))})."
    )
