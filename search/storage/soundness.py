"""Checks that name the row and the column that an edit by hand has damaged.

Every row is checked when it becomes a record; `retort db check` checks all rows of a store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, RowMapping

from search.files.text import visible
from search.records import TrialState
from search.storage.column_rules import LAWS
from search.storage.columns import Unreadable
from search.storage.tables import StudyRow, TrialRow

_Values = RowMapping | Mapping[str, object]

_LONGEST_SHOWN = 60
_TRIALS = TrialRow.__tablename__
# The code reads these of a complete trial without a check; the table's CHECKs require them too.
_MEASURED = ("quality", "cost")


@dataclass(frozen=True)
class Damage:
    """The damage of one row.

    Attributes:
        study: the study that it belongs to; empty where that is unknown, or where it has none.
        row: such as `trial 3`.
        column: such as `trials.params`.
        problem: what must hold, and what was found.
    """

    study: str
    row: str
    column: str
    problem: str

    def __str__(self) -> str:
        return f"{self.column} of {self.row} {self.problem}"


class Unsound(Exception):
    """A damaged row that was to become a record; `Database` adds the store's name."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(str(damage))
        self.damage = damage


def check_study(row: StudyRow) -> None:
    """Check that a study's row is sound, and its teacher's and its lease's.

    Raises:
        Unsound: names the first damage.
    """
    study = study_name(row)
    parts = ((row, f"study {study}"), (row.teacher, "the teacher"), (row.hold, "the hold"))
    for part, label in parts:
        if part is not None:
            for damage in damages(part.__tablename__, vars(part), study=study, label=label):
                raise Unsound(damage)


def check_trial(row: TrialRow | Row[Any], *, study: str, whole: bool) -> None:
    """Check that a trial's row is sound; where `whole`, its stages' and its epochs' too.

    `row` may be one of plain columns, of the same names, unless `whole`.

    Raises:
        Unsound: names the first damage.
    """
    # A plain dictionary: a look-up in SQLAlchemy's own mapping takes several times as long.
    held = dict(zip(row._fields, row, strict=True)) if isinstance(row, Row) else vars(row)
    for damage in damages(_TRIALS, held, study=study, label=trial_label(row)):
        raise Unsound(damage)
    for part in (*row.stages, *row.epochs) if whole else ():
        label = f"{part.__tablename__[:-1]} {part.position} of {trial_label(row)}"
        for damage in damages(part.__tablename__, vars(part), study=study, label=label):
            raise Unsound(damage)


def check_numbering(numbers: Sequence[int], *, study: str) -> None:
    """Check that a study's trial numbers count from 0 without a gap.

    Raises:
        Unsound: names the first gap.
    """
    for place, number in enumerate(numbers):
        if number != place:
            problem = f"must be {place}, as trials count from 0 without a gap, but is {number}"
            raise Unsound(Damage(study, f"trial {number}", f"{_TRIALS}.number", problem))


def study_name(row: StudyRow | Row[Any]) -> str:
    """Return a study's name; its row's key where the name is damaged."""
    name: object = row.name
    return visible(name) if isinstance(name, str) and name else f"(row {row.id})"


def trial_label(row: TrialRow | Row[Any]) -> str:
    number: object = row.number
    return f"trial {number}" if isinstance(number, int) else f"row {row.id}"


def damages(table: str, row: _Values, *, study: str, label: str) -> Iterator[Damage]:
    """Yield all damages of one row.

    Args:
        table: the row's table.
        row: its values; missing columns are not checked.
        study: the study that it belongs to.
        label: the row's own name.
    """
    for name, law, is_nullable in LAWS[table]:
        value = row.get(name)
        if value is None:
            if not is_nullable and name in row:
                yield Damage(study, label, f"{table}.{name}", "must be there, but is NULL")
        elif not law.holds(value):
            problem = f"must be {law.words}, but is {_shown(value)}"
            yield Damage(study, label, f"{table}.{name}", problem)
    if table == _TRIALS:
        for name, problem in _contradictions(row):
            yield Damage(study, label, f"{table}.{name}", problem)


def _contradictions(trial: _Values) -> Iterator[tuple[str, str]]:
    """Yield columns that are sound by themselves, but don't fit the trial's state."""
    is_running = trial["state"] == TrialState.RUNNING.value
    if is_running != (trial["finished_at"] is None):
        law = "NULL while it runs" if is_running else "there once it has ended"
        yield "finished_at", f"must be {law}, but is {_shown(trial['finished_at'])}"
    number, parent = trial["number"], trial["parent"]
    if isinstance(number, int) and isinstance(parent, int) and parent >= number:
        yield "parent", f"must be an earlier trial, but is {parent}"
    if trial["state"] == TrialState.COMPLETE.value:
        for name in _MEASURED:
            if trial[name] is None:
                yield name, "must be there in a complete trial, but is NULL"


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    raw = value.raw if isinstance(value, Unreadable) else value
    text = visible(raw.isoformat(" ") if isinstance(raw, datetime) else repr(raw))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
