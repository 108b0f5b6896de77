"""Recommends a student within a budget, and compares it with its neighbours. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.analysis.finals import SeedSpread, seed_spread, seeds_of, shipped
from search.analysis.pareto import cost_of, fits, point_of, quality_of, value_of
from search.analysis.ranking import Ranking
from search.analysis.upgrades import Upgrade, upgrade_text, upgrades
from search.errors import NoStudentFits
from search.objectives.budget import Budget
from search.objectives.goal import SMALLEST, Goal
from search.objectives.limit import Limit
from search.records import TrialKind, TrialRecord, TrialState

# A cheaper student is shown if it costs at most this share of the chosen one, and one within noise
# if it costs at most the other.
_CHEAPER, _MUCH_CHEAPER = 0.75, 0.5


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended student and its neighbours.

    "Better" means a better estimate of the goal's metric; see `search.analysis.estimates`.

    Attributes:
        ranking: the estimates of all students.
        chosen: the recommended student within the budget; a finalist, if one is within it.
        shipped: the student that is exported for it: its refit, or the chosen one itself.
        spread: how the metric of a chosen finalist varies over its seeds; None without seeds.
        luckiest: the student within the budget with a better measured value than the chosen one,
            but a worse estimate: the best measured one of its kind; None if there is none.
        rival: the best student within the budget, if the chosen one is a cheaper one within noise
            of it; else None.
        equal: the best student within noise of the chosen one that costs at most half as much in
            the goal's first cost; None if there is none.
        runner_up: the second-best student within the budget; None if there is no other. Trials of
            the chosen finalist's recipe are left out.
        cheaper: the best student that costs at most three quarters of the chosen one in the goal's
            first cost, and no more in the other costs; None if there is none.
        upgrades: better students outside of the budget. For each limit or floor that is the only
            one that a better student breaks, the one that misses it by the least. If all better
            students break several, the nearest of them.
        lost: the best trained trial that is better than the chosen one and broke the study's own
            budget, so that its student was not stored; None if there is none.
    """

    ranking: Ranking
    chosen: TrialRecord
    shipped: TrialRecord
    luckiest: TrialRecord | None
    rival: TrialRecord | None
    equal: TrialRecord | None
    runner_up: TrialRecord | None
    cheaper: TrialRecord | None
    upgrades: tuple[Upgrade, ...]
    lost: TrialRecord | None = None
    spread: SeedSpread | None = None


def advise(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> Advice:
    """Choose a student among the trials, and compare it with its neighbours.

    Args:
        trials: the trials of one study.
        budget: the budget; it may differ from the study's.
        goal: the study's goal.
        floor: the worst acceptable estimate of the goal's metric.

    Raises:
        NoStudentFits: no trial is within the budget; the message names the nearest one.
    """
    ranking = Ranking(trials, goal)
    taken = ranking.chosen(budget, floor=floor)
    complete = [trial for trial in trials if point_of(trial, goal) is not None]
    same = {trial.number for trial in seeds_of(taken, complete, goal)} | {taken.repeats}
    others = [trial for trial in complete if trial.number not in same]
    smaller = [trial for trial in others if _is_cheaper(trial, taken, goal)]
    peers = [trial for trial in complete if trial.kind is taken.kind]
    top = next(iter(ranking.ranked(budget, floor=floor, among=peers)))
    equals = [
        trial
        for trial in others
        if _cost_ratio(trial, taken, goal) <= _MUCH_CHEAPER
        and ranking.is_within_noise(trial, taken)
    ]
    return Advice(
        ranking=ranking,
        chosen=taken,
        shipped=shipped(taken, trials, budget),
        spread=seed_spread(taken, complete, goal),
        luckiest=_luckiest(peers, ranking, budget, chosen=taken),
        rival=None if top == taken else top,
        equal=next(iter(ranking.ranked(budget, floor=floor, among=equals)), None),
        runner_up=next(iter(ranking.ranked(budget, floor=floor, among=others)), None),
        cheaper=next(iter(ranking.ranked(budget, floor=floor, among=smaller)), None),
        upgrades=upgrades(others, budget, ranking, chosen=taken),
        lost=_lost(trials, ranking, chosen=taken),
    )


def advice_or_refusal(
    trials: Sequence[TrialRecord], budget: Budget, goal: Goal, *, floor: float | None = None
) -> tuple[Advice | None, str]:
    """Return the advice and an empty text, or None and the reason why no student fits."""
    try:
        return advise(trials, budget, goal, floor=floor), ""
    except NoStudentFits as error:
        return None, str(error)


def reasons(advice: Advice, budget: Budget, goal: Goal) -> list[str]:
    """Return sentences that compare the student with its neighbours and with a larger budget."""
    metric = goal.metric
    lines = [*_choice_lines(advice, budget, goal), *_final_lines(advice, goal)]
    if advice.runner_up is not None:
        lines.append(f"The runner-up is {_beside(advice.runner_up, advice)}.")
    if advice.cheaper is not None and advice.cheaper not in (advice.runner_up, advice.equal):
        lines.append(f"A cheaper one is {_beside(advice.cheaper, advice)}.")
    lines += [
        upgrade_text(upgrade, advice.chosen, advice.ranking, budget) for upgrade in advice.upgrades
    ]
    if advice.upgrades:
        return lines
    if advice.lost is not None:
        value = metric.format(advice.ranking.estimate(advice.lost).value)
        lines.append(
            f"Trial {advice.lost.number} reached {metric.label} {value}, but broke the study's "
            "budget, so its student was not stored. A study with a larger budget may find it."
        )
    else:
        lines.append(f"No trial so far has a better {metric.label}, even with a larger budget.")
    return lines


def _choice_lines(advice: Advice, budget: Budget, goal: Goal) -> list[str]:
    """Return sentences about the estimate of the chosen student, and about its equals."""
    chosen, metric, ranking = advice.chosen, goal.metric, advice.ranking
    within = "; the budget has no limit" if budget.is_open else f" within {budget}"
    if advice.rival is None:
        lines = [f"Trial {chosen.number} has the best {metric.label}{within}."]
    else:
        lines = [
            f"Trial {chosen.number} is the cheapest student within noise of the best "
            f"{metric.label}{within} (search.prefer: {SMALLEST}). The best is "
            f"{_beside(advice.rival, advice)}."
        ]
    estimate = ranking.estimate(chosen)
    if estimate.deviation:
        value, low, high = map(metric.format, (estimate.value, estimate.low, estimate.high))
        lines.append(
            f"Its {metric.label} is estimated as {value} (95%: {low} to {high}), and measured as "
            f"{metric.format(value_of(chosen, goal))}. The best of many measured students is "
            "partly lucky, so students are compared by estimates."
        )
    if floors := budget.floors():
        met = [f"{one.label} {one.text(quality_of(chosen))}" for one in floors]
        lines.append(f"It meets the floors on the validation images: {', '.join(met)}.")
    if advice.luckiest is not None:
        own, guess = value_of(advice.luckiest, goal), ranking.estimate(advice.luckiest).value
        lines.append(
            f"Trial {advice.luckiest.number} was measured as {metric.format(own)}, but similar "
            f"students were worse: its estimate is {metric.format(guess)}."
        )
    if advice.equal is not None:
        lines.append(
            f"A student at half the cost is within noise of it: {_beside(advice.equal, advice)}."
        )
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
        lines.append(f"Over the seeds of its recipe: {advice.spread.text(goal.metric)}.")
    if advice.shipped != chosen:
        lines.append(
            f"Trial {advice.shipped.number} repeats its training on training and validation images "
            "together, and is exported in its place."
        )
    return lines


def _is_cheaper(trial: TrialRecord, than: TrialRecord, goal: Goal) -> bool:
    _, *others = zip(goal.costs_of(cost_of(trial)), goal.costs_of(cost_of(than)), strict=True)
    return _cost_ratio(trial, than, goal) <= _CHEAPER and all(own <= other for own, other in others)


def _cost_ratio(trial: TrialRecord, than: TrialRecord, goal: Goal) -> float:
    """Return the ratio of two students in the goal's first cost."""
    own, other = (goal.costs_of(cost_of(one))[0] for one in (trial, than))
    return own / other if other else math.inf


def _luckiest(
    peers: Sequence[TrialRecord], ranking: Ranking, budget: Budget, *, chosen: TrialRecord
) -> TrialRecord | None:
    goal = ranking.goal

    def measured(trial: TrialRecord) -> float:
        return goal.metric.utility(value_of(trial, goal))

    lucky = [
        trial
        for trial in peers
        if fits(trial, budget)
        and measured(trial) > measured(chosen)
        and ranking.utility(trial) < ranking.utility(chosen)
    ]
    return max(lucky, key=measured, default=None)


def _lost(
    trials: Sequence[TrialRecord], ranking: Ranking, *, chosen: TrialRecord
) -> TrialRecord | None:
    trained = [
        trial
        for trial in trials
        if trial.state is TrialState.INFEASIBLE
        and trial.number in ranking.estimates
        and ranking.utility(trial) > ranking.utility(chosen)
    ]
    return max(trained, key=ranking.utility, default=None)


def _beside(trial: TrialRecord, advice: Advice) -> str:
    """Return text such as `trial 1: accuracy -2.00 points, size 25% smaller, latency the same`."""
    goal, estimate = advice.ranking.goal, advice.ranking.estimate
    difference = goal.metric.difference(estimate(trial).value, estimate(advice.chosen).value)
    cost, other = cost_of(trial), cost_of(advice.chosen)
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
