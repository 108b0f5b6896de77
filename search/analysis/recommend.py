"""Which student to take within a budget, and why it and not its neighbours. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from search.analysis.pareto import best
from search.objectives.budget import COST_NAMES, Budget, total_violation
from search.records import Cost, TrialRecord, TrialState

# A student is worth naming as the cheaper one where it costs at most so much of the chosen one.
_CHEAPER = 0.75


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A more accurate student outside the budget; `needs` are the bounds that would admit it."""

    trial: TrialRecord
    needs: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The student to take, and its neighbours.

    Attributes:
        chosen: the most accurate within the budget.
        runner_up: the next one within it; None where there is no other.
        cheaper: the most accurate one that costs at most three quarters of the chosen one in bytes
            and no more in time; None where there is none.
        upgrades: for each limit that alone keeps out a more accurate student, the one that breaks
            it by the least; where each of them breaks several, the nearest of these.
        lost: the most accurate trial that was trained, is more accurate, and broke the study's own
            budget, so that its student was not kept; None where there is none.
    """

    chosen: TrialRecord
    runner_up: TrialRecord | None
    cheaper: TrialRecord | None
    upgrades: tuple[Upgrade, ...]
    lost: TrialRecord | None = None


def advise(
    trials: Sequence[TrialRecord], budget: Budget, *, min_accuracy: float | None = None
) -> Advice | None:
    """What to take of the trials; None where none is within the budget.

    Args:
        trials: of one study.
        budget: may differ from the study's.
        min_accuracy: a share that the student must reach.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    chosen = best(complete, budget, min_accuracy=min_accuracy)
    if chosen is None:
        return None
    others = [trial for trial in complete if trial.number != chosen.number]
    smaller = [trial for trial in others if _is_cheaper(cost_of(trial), cost_of(chosen))]
    return Advice(
        chosen=chosen,
        runner_up=best(others, budget, min_accuracy=min_accuracy),
        cheaper=best(smaller, budget, min_accuracy=min_accuracy),
        upgrades=_upgrades(others, budget, above=accuracy_of(chosen)),
        lost=_lost(trials, above=accuracy_of(chosen)),
    )


def reasons(advice: Advice, budget: Budget) -> list[str]:
    """The advice in sentences: why this one, what the next lacks, what more budget would buy."""
    chosen = advice.chosen
    lines = [
        f"Trial {chosen.number} is the most accurate within {budget}."
        if budget.limits()
        else f"Trial {chosen.number} is the most accurate; no limit is set."
    ]
    if advice.runner_up is not None:
        lines.append(f"The runner-up, {_beside(advice.runner_up, chosen)}.")
    if advice.cheaper is not None and advice.cheaper != advice.runner_up:
        lines.append(f"A cheaper one, {_beside(advice.cheaper, chosen)}.")
    lines += [_in_words(upgrade, advice.chosen, budget) for upgrade in advice.upgrades]
    if advice.upgrades:
        return lines
    if advice.lost is not None:
        lines.append(
            f"Trial {advice.lost.number} came to {accuracy_of(advice.lost):.2%}, but broke the "
            "study's budget, so that its student was not kept: a study with more may find it."
        )
    else:
        lines.append("No trial so far is more accurate, so more budget would buy nothing yet.")
    return lines


def accuracy_of(trial: TrialRecord) -> float:
    """Of a trial whose student was measured."""
    assert trial.outcome is not None
    assert trial.outcome.quality is not None
    return trial.outcome.quality.accuracy


def cost_of(trial: TrialRecord) -> Cost:
    """Of a trial whose student was measured."""
    assert trial.outcome is not None
    assert trial.outcome.cost is not None
    return trial.outcome.cost


def _is_cheaper(cost: Cost, than: Cost) -> bool:
    is_slower = (cost.latency_ms or math.inf) > (than.latency_ms or math.inf)
    return cost.size_bytes <= _CHEAPER * than.size_bytes and not is_slower


def _upgrades(
    trials: Sequence[TrialRecord], budget: Budget, *, above: float
) -> tuple[Upgrade, ...]:
    nearest: dict[tuple[str, ...], tuple[float, int, TrialRecord]] = {}
    for trial in trials:
        if accuracy_of(trial) <= above:
            continue
        excesses = budget.violations(cost_of(trial))
        broken = tuple(name for name, excess in excesses.items() if excess > 0)
        candidate = (total_violation(excesses), trial.number, trial)
        if broken and candidate[:2] < nearest.get(broken, (math.inf,))[:2]:
            nearest[broken] = candidate
    alone = [found for broken, found in nearest.items() if len(broken) == 1]
    shown = alone or sorted(nearest.values(), key=lambda found: found[:2])[:1]
    return tuple(
        Upgrade(trial=trial, needs=_needs(trial, budget))
        for _, _, trial in sorted(shown, key=lambda found: found[:2])
    )


def _lost(trials: Sequence[TrialRecord], *, above: float) -> TrialRecord | None:
    trained = [
        trial
        for trial in trials
        if trial.state is TrialState.INFEASIBLE and trial.outcome and trial.outcome.quality
    ]
    best_lost = max(trained, key=accuracy_of, default=None)
    return best_lost if best_lost and accuracy_of(best_lost) > above else None


def _needs(trial: TrialRecord, budget: Budget) -> dict[str, float]:
    cost = cost_of(trial)
    excesses = budget.violations(cost)
    return {name: float(getattr(cost, name)) for name, excess in excesses.items() if excess > 0}


def _beside(trial: TrialRecord, chosen: TrialRecord) -> str:
    points = (accuracy_of(chosen) - accuracy_of(trial)) * 100
    accuracy = f"is {points:.2f} points less accurate" if points >= 0.005 else "is as accurate"
    cost, other = cost_of(trial), cost_of(chosen)
    pairs: list[tuple[Callable[[float], str], float | None, float | None]] = [
        (_in_size, cost.size_bytes, other.size_bytes),
        (_in_time, cost.latency_ms, other.latency_ms),
    ]
    compared = [log(mine / theirs) for log, mine, theirs in pairs if mine and theirs]
    return f"trial {trial.number}, {accuracy}, {' and '.join(compared)}"


def _in_size(ratio: float) -> str:
    return _share(ratio, less="smaller", more="larger", same="as large")


def _in_time(ratio: float) -> str:
    return _share(ratio, less="faster", more="slower", same="as fast")


def _share(ratio: float, *, less: str, more: str, same: str) -> str:
    if abs(ratio - 1) < 0.005:
        return same
    if ratio >= 2:
        return f"{ratio:.1f} times {more}"
    return f"{abs(1 - ratio):.0%} {less if ratio < 1 else more}"


def _in_words(upgrade: Upgrade, chosen: TrialRecord, budget: Budget) -> str:
    limits = budget.limits()
    needs = " and ".join(
        f"{label} up to {form(bound)} instead of {form(limits[name])} "
        f"(+{bound / limits[name] - 1:.0%})"
        for name, bound in upgrade.needs.items()
        for label, form in [COST_NAMES[name]]
    )
    accuracy = accuracy_of(upgrade.trial)
    points = (accuracy - accuracy_of(chosen)) * 100
    return (
        f"With {needs}, trial {upgrade.trial.number} would give {accuracy:.1%}, "
        f"{points:.2f} points more."
    )
