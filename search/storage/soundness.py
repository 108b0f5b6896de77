"""Checks of rows against the column rules; a failed check names the row and the column.

Manual edits can damage rows. A row is checked whenever it is converted to a record.
`retort db check` checks all rows of a store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, RowMapping

from search.files.text import visible
from search.records import TrialState
from search.storage.column_rules import COLUMN_RULES
from search.storage.columns import Unreadable
from search.storage.tables import StudyRow, TrialRow

_Values = RowMapping | Mapping[str, object]

_LONGEST_SHOWN = 60
_TRIALS = TrialRow.__tablename__
# Other code relies on these in a complete trial; the table's CHECK constraints require them too.
_MEASURED = ("quality", "cost")


@dataclass(frozen=True)
class Damage:
    """The damage of one row.

    Attributes:
        study: the study that the row belongs to; empty if it is unknown, or if there is none.
        row: the row's label, such as `trial 3`.
        column: the table and the column, such as `trials.params`.
        problem: what must hold, and what was found.
    """

    study: str
    row: str
    column: str
    problem: str

    def __str__(self) -> str:
        return f"{self.column} of {self.row} {self.problem}"


class Unsound(Exception):
    """A row is damaged and can't become a record; `Database` adds the store's name."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(str(damage))
        self.damage = damage


def check_study(row: StudyRow) -> None:
    """Check the rows of a study, its teacher and its lease.

    Raises:
        Unsound: names the first damage.
    """
    study = study_name(row)
    parts = ((row, f"study {study}"), (row.teacher, "the teacher"), (row.hold, "the lease"))
    for part, label in parts:
        if part is not None:
            for damage in damages(part.__tablename__, vars(part), study=study, label=label):
                raise Unsound(damage)


def check_trial(row: TrialRow | Row[Any], *, study: str, whole: bool) -> None:
    """Check the row of a trial; if `whole`, the rows of its stages and epochs too.

    If `whole` is False, `row` may also be a plain row with the same columns.

    Raises:
        Unsound: names the first damage.
    """
    # A plain dictionary, since a look-up in SQLAlchemy's own mapping is several times slower.
    values = dict(zip(row._fields, row, strict=True)) if isinstance(row, Row) else vars(row)
    for damage in damages(_TRIALS, values, study=study, label=trial_label(row)):
        raise Unsound(damage)
    for part in (*row.stages, *row.epochs) if whole else ():
        label = f"{part.__tablename__[:-1]} {part.position} of {trial_label(row)}"
        for damage in damages(part.__tablename__, vars(part), study=study, label=label):
            raise Unsound(damage)


def check_numbering(numbers: Sequence[int], *, study: str) -> None:
    """Check that a study's trial numbers start at 0 and have no gap.

    Raises:
        Unsound: names the first gap.
    """
    for place, number in enumerate(numbers):
        if number != place:
            problem = (
                f"must be {place}, since trial numbers start at 0 and have no gap, but is {number}"
            )
            raise Unsound(Damage(study, f"trial {number}", f"{_TRIALS}.number", problem))


def study_name(row: StudyRow | Row[Any]) -> str:
    """Return a study's name, or its row's key if the name is damaged."""
    name: object = row.name
    return visible(name) if isinstance(name, str) and name else f"(row {row.id})"


def trial_label(row: TrialRow | Row[Any]) -> str:
    number: object = row.number
    return f"trial {number}" if isinstance(number, int) else f"row {row.id}"


def damages(table: str, row: _Values, *, study: str, label: str) -> Iterator[Damage]:
    """Yield all damages of one row.

    Args:
        table: the row's table.
        row: the row's values; missing columns are not checked.
        study: the study that the row belongs to.
        label: the row's label.
    """
    for name, rule, is_nullable in COLUMN_RULES[table]:
        value = row.get(name)
        if value is None:
            if not is_nullable and name in row:
                yield Damage(study, label, f"{table}.{name}", "must have a value, but is NULL")
        elif not rule.holds(value):
            problem = f"must be {rule.words}, but is {_shown(value)}"
            yield Damage(study, label, f"{table}.{name}", problem)
    if table == _TRIALS:
        for name, problem in _contradictions(row):
            yield Damage(study, label, f"{table}.{name}", problem)


def _contradictions(trial: _Values) -> Iterator[tuple[str, str]]:
    """Yield columns whose values are valid by themselves, but contradict the trial's state."""
    is_running = trial["state"] == TrialState.RUNNING.value
    if is_running != (trial["finished_at"] is None):
        rule = "be NULL in a running trial" if is_running else "have a value in an ended trial"
        yield "finished_at", f"must {rule}, but is {_shown(trial['finished_at'])}"
    number = trial["number"]
    for name in ("parent", "repeats"):
        other = trial[name]
        if isinstance(number, int) and isinstance(other, int) and other >= number:
            yield name, f"must be an earlier trial, but is {other}"
    if trial["state"] == TrialState.COMPLETE.value:
        for name in _MEASURED:
            if trial[name] is None:
                yield name, "must have a value in a complete trial, but is NULL"


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    raw = value.raw if isinstance(value, Unreadable) else value
    text = visible(raw.isoformat(" ") if isinstance(raw, datetime) else repr(raw))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
