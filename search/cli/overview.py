"""The command that looks at all studies of a store: status."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.pareto import best as best_of
from search.analysis.pareto import frontier
from search.cli.options import DEFAULT_STORE, Json, StoreUrl
from search.cli.terminal import complain, out, percent, state_text, write_json
from search.errors import DamagedRow
from search.objectives.budget import stored_budget
from search.records import StudyRecord, StudyState, TrialRecord, TrialState
from search.storage.leases import standing, standing_counts
from search.storage.storage import Store


def status(store: StoreUrl = DEFAULT_STORE, *, as_json: Json = False) -> None:
    """Every study in the store: its state, its trials by state, its best student."""
    with Store.open(store, read_only=True) as opened:
        found, damaged = _readable(opened)
    if as_json:
        write_json([_status(study, trials) for study, trials in found])
    else:
        _show_status(found)
    for error in damaged:
        complain(str(error))
    if damaged:
        raise typer.Exit(1)


def _readable(
    store: Store,
) -> tuple[list[tuple[StudyRecord, list[TrialRecord]]], list[DamagedRow]]:
    """The studies and their trials; and what is wrong with each that can't be read."""
    found, damaged = [], []
    for study in store.studies():
        if isinstance(study, DamagedRow):
            damaged.append(study)
            continue
        try:
            found.append((study, store.trials(study.name)))
        except DamagedRow as error:
            damaged.append(error)
    return found, damaged


def _show_status(found: Sequence[tuple[StudyRecord, Sequence[TrialRecord]]]) -> None:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("study", "state", "trials", "best accuracy", "on the frontier", "last change"):
        table.add_column(name)
    for study, trials in found:
        summary = _status(study, trials)
        states = _states(study, trials)
        table.add_row(
            escape(study.name),
            standing(study),
            "  ".join(f"{state_text(state)} {count}" for state, count in sorted(states.items())),
            percent(summary["best_accuracy"]),
            str(summary["frontier"]),
            f"{study.changed_at:%Y-%m-%d %H:%M:%S} UTC",
        )
    out.print(table)


def _status(study: StudyRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    top = best_of(trials, stored_budget(study.config))
    quality = top.outcome.quality if top and top.outcome else None
    return {
        "study": study.name,
        "state": str(standing(study)),
        "held_by": str(study.lease) if standing(study) is StudyState.RUNNING else None,
        "searched_s": study.elapsed_s,
        "trials": {str(state): n for state, n in _states(study, trials).items()},
        "best_trial": top.number if top else None,
        "best_accuracy": quality.accuracy if quality else None,
        "frontier": len(frontier(trials)),
        "changed_at": study.changed_at,
    }


def _states(study: StudyRecord, trials: Sequence[TrialRecord]) -> Mapping[TrialState, int]:
    return standing_counts(standing(study), Counter(trial.state for trial in trials))
