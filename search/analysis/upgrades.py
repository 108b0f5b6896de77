"""Better students outside of the budget, and the limits and floors that would admit them. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.analysis.pareto import cost_of, quality_of, violations_of
from search.analysis.ranking import Ranking
from search.objectives.budget import Budget, total_violation
from search.objectives.limits import limit_on
from search.records import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A better student outside of the budget, and the bounds that would admit it (`needs`).

    The bounds are its own values, by the stored names of costs and of values with floors.
    """

    trial: TrialRecord
    needs: Mapping[str, float]


def upgrades(
    trials: Sequence[TrialRecord], budget: Budget, ranking: Ranking, *, chosen: TrialRecord
) -> tuple[Upgrade, ...]:
    """Return better students outside of the budget, as `Advice.upgrades` describes them.

    Args:
        trials: the students to compare.
        budget: the budget.
        ranking: their estimates.
        chosen: the student that they must be better than.
    """
    nearest: dict[tuple[str, ...], tuple[float, int, TrialRecord]] = {}
    for trial in trials:
        if ranking.utility(trial) <= ranking.utility(chosen):
            continue
        violations = violations_of(trial, budget)
        broken = tuple(name for name, violation in violations.items() if violation > 0)
        candidate = (total_violation(violations), trial.number, trial)
        if broken and candidate[:2] < nearest.get(broken, (math.inf,))[:2]:
            nearest[broken] = candidate
    alone = [found for broken, found in nearest.items() if len(broken) == 1]
    selected = alone or sorted(nearest.values(), key=lambda found: found[:2])[:1]
    return tuple(
        Upgrade(trial=trial, needs=_needs(trial, budget))
        for _, _, trial in sorted(selected, key=lambda found: found[:2])
    )


def _needs(trial: TrialRecord, budget: Budget) -> dict[str, float]:
    values = {name: found.value for name, found in quality_of(trial).items()}
    values |= cost_of(trial)
    return {
        name: values[name]
        for name, violation in violations_of(trial, budget).items()
        if violation > 0
    }


def upgrade_text(upgrade: Upgrade, chosen: TrialRecord, ranking: Ranking, budget: Budget) -> str:
    """Return a sentence that tells what a larger budget, or a lower floor, would give."""
    metric, own = ranking.goal.metric, ranking.estimate(upgrade.trial).value
    floors = {floor.name: floor for floor in budget.floors()}
    needs = []
    for name, value in upgrade.needs.items():
        if name in floors:
            floor = floors[name]
            form = floor.metric.format
            needs.append(f"{floor.label} {floor.side} {form(value)} instead of {form(floor.bound)}")
            continue
        limit, bound = limit_on(name), budget.limits()[name]
        needs.append(
            f"{limit.label} up to {limit.format(value)} instead of {limit.format(bound)} "
            f"(+{value / bound - 1:.0%})"
        )
    difference = metric.difference(own, ranking.estimate(chosen).value)
    return (
        f"With {' and '.join(needs)}, trial {upgrade.trial.number} would give {metric.label} "
        f"{metric.format(own)} ({difference})."
    )
