"""Sentences about the floors of a budget and a trial's student. Pure."""

from collections.abc import Sequence

from search.analysis.pareto import quality_of
from search.objectives.budget import Budget
from search.records import TrialKind, TrialRecord


def floor_notes(trial: TrialRecord, trials: Sequence[TrialRecord], budget: Budget) -> list[str]:
    """Return a sentence that tells which floors a student meets or breaks; empty without floors.

    Args:
        trial: the trial of the student. A refit has no quality on validation images, so that of the
            trial that it repeats is given.
        trials: the trials of the study.
        budget: the study's budget.
    """
    measured = trial
    if trial.kind is TrialKind.REFIT:
        measured = next((one for one in trials if one.number == trial.repeats), trial)
    values = [
        f"{floor.label} {floor.text(quality_of(measured))} ({floor.side} "
        f"{floor.metric.format(floor.bound)})"
        for floor in budget.floors()
        if floor.name in quality_of(measured)
    ]
    if not values:
        return []
    where = "" if measured is trial else f" of trial {measured.number}"
    is_broken = bool(budget.explain({}, quality_of(measured)))
    verb = "breaks" if is_broken else "meets"
    return [
        f"The student {verb} the floors of the budget on validation images{where}: "
        f"{', '.join(values)}."
    ]
