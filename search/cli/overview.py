"""The command that shows all studies of a store: status."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.finals import of_kind, shipped
from search.analysis.pareto import cost_of, frontier, nearest_miss, quality_of, value_of
from search.analysis.ranking import Ranking
from search.cli.options import DEFAULT_STORE, Json, StoreUrl
from search.cli.tables import state_text
from search.cli.terminal import complain, out, write_json
from search.errors import BadInput, DamagedRow
from search.objectives.budget import Budget, stored_budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.intervals import measured_text
from search.records import StudyRecord, StudyState, TrialKind, TrialRecord, TrialState
from search.storage.leases import standing, standing_counts
from search.storage.storage import Store


@dataclass(frozen=True)
class _Overview:
    """A study, its goal and budget, and its trials."""

    study: StudyRecord
    goal: Goal
    budget: Budget
    trials: Sequence[TrialRecord]

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best student within the study's budget."""
        return Ranking(self.trials, self.goal).best(self.budget)

    @cached_property
    def nearest(self) -> TrialRecord | None:
        """The trial nearest to the budget, if no student is within it; else None."""
        return None if self.best else nearest_miss(self.trials, self.budget)

    @property
    def misses(self) -> str | None:
        """What the trial nearest to the budget breaks; None if there is none."""
        if self.nearest is None:
            return None
        return self.budget.explain(cost_of(self.nearest), quality_of(self.nearest))

    @property
    def nearest_text(self) -> str:
        """Text about the trial nearest to the budget; a dash if there is none."""
        if self.nearest is None:
            return "–"
        return f"none within the budget; nearest is trial {self.nearest.number}: {self.misses}"

    @property
    def states(self) -> Mapping[TrialState, int]:
        """The number of trials in each state."""
        counted = Counter(trial.state for trial in self.trials)
        return standing_counts(standing(self.study), counted)


def status(store: StoreUrl = DEFAULT_STORE, *, as_json: Json = False) -> None:
    """List the studies in the store: state, trials by state, best student."""
    with Store.open(store, read_only=True) as opened:
        found, unreadable = _readable(opened)
    if as_json:
        write_json([_to_json(one) for one in found])
    else:
        _show_status(found)
    for error in unreadable:
        complain(str(error))
    if unreadable:
        raise typer.Exit(1)


def _readable(store: Store) -> tuple[list[_Overview], list[DamagedRow | BadInput]]:
    """Return the studies with their trials, and an error for each study that can't be read."""
    found: list[_Overview] = []
    unreadable: list[DamagedRow | BadInput] = []
    for study in store.studies():
        if isinstance(study, DamagedRow):
            unreadable.append(study)
            continue
        try:
            goal, budget = stored_goal(study.config), stored_budget(study.config)
            found.append(_Overview(study, goal, budget, store.trials(study.name)))
        except (DamagedRow, BadInput) as error:
            unreadable.append(error)
    return found, unreadable


def _show_status(found: Sequence[_Overview]) -> None:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("study", "state", "trials", "best student", "on the frontier", "last change"):
        table.add_column(name, overflow="fold")
    for one in found:
        best = one.best
        table.add_row(
            escape(one.study.name),
            escape(_state_text(one.study)),
            "  ".join(
                f"{state_text(state)} {count}" for state, count in sorted(one.states.items())
            ),
            _best_lines(best, one.goal, one.budget) if best else escape(one.nearest_text),
            str(len(frontier(one.trials, one.goal))),
            f"{one.study.changed_at:%Y-%m-%d %H:%M:%S} UTC",
        )
    out.print(table)


def _best_lines(best: TrialRecord, goal: Goal, budget: Budget) -> str:
    """Return a line for the goal's metric, those beside it, each floor, and for a finalist."""
    assert best.outcome is not None
    quality = best.outcome.quality
    shown = (goal.metric, *goal.beside(quality))
    lines = [f"{measured_text(metric, quality)} {metric.label}" for metric in shown]
    lines += [
        f"{floor.text(quality)} {escape(floor.label)}"
        for floor in budget.floors()
        if floor.metric not in shown or floor.of_class is not None
    ]
    return "\n".join([*lines, *(["finalist"] if best.kind is TrialKind.FINAL else [])])


def _state_text(study: StudyRecord) -> str:
    """Return the study's state, with what it does now or why it failed."""
    state = standing(study)
    detail = study.activity if state is StudyState.RUNNING else study.failure
    return f"{state}: {detail}" if detail else str(state)


def _to_json(one: _Overview) -> dict[str, Any]:
    study, best = one.study, one.best
    is_running = standing(study) is StudyState.RUNNING
    return {
        "study": study.name,
        "state": str(standing(study)),
        "held_by": str(study.lease) if is_running else None,
        "activity": study.activity if is_running else None,
        "failure": None if is_running else study.failure,
        "searched_s": study.elapsed_s,
        "finals_s": study.finals_s,
        "trials": {str(state): n for state, n in one.states.items()},
        "finalists": len(of_kind(one.trials, TrialKind.FINAL)),
        "budget": str(one.budget),
        "nearest_trial": one.nearest.number if one.nearest else None,
        "nearest_misses": one.misses,
        "best_trial": best.number if best else None,
        "shipped_trial": shipped(best, one.trials, one.budget).number if best else None,
        f"best_{one.goal.metric.name}": value_of(best, one.goal) if best else None,
        "frontier": len(frontier(one.trials, one.goal)),
        "changed_at": study.changed_at,
    }
