"""A check of every row of a store, for `retort db check`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.storage.soundness import (
    Damage,
    Unsound,
    check_numbering,
    damages,
    study_name,
    trial_label,
)
from search.storage.tables import (
    CostRow,
    EpochRow,
    LeaseRow,
    StageRow,
    StudyRow,
    TeacherRow,
    TrialRow,
)


@dataclass(frozen=True)
class _OwnedRow:
    """The study that a row belongs to, and the row's label."""

    study: str
    label: str


def all_damages(session: Session) -> list[Damage]:
    """Return all damages of a store's rows, table by table."""
    studies = {
        row.id: _OwnedRow(study_name(row), f"study {study_name(row)}")
        for row in session.execute(select(StudyRow.__table__))
    }
    trials = {
        row.id: _OwnedRow(_study_of(row.study_id, studies), trial_label(row))
        for row in session.execute(select(TrialRow.__table__))
    }
    found = list(_row_damages(session, StudyRow, studies))
    found += _study_part_damages(session, studies)
    found += _row_damages(session, TrialRow, trials)
    found += _numbering_damages(session, studies)
    found += _trial_part_damages(session, trials)
    for row in session.execute(select(CostRow.__table__)):
        found += damages(CostRow.__tablename__, row._mapping, study="", label=f"row {row.id}")
    return found


def _row_damages(
    session: Session, table: type[StudyRow | TrialRow], owners: Mapping[object, _OwnedRow]
) -> Iterator[Damage]:
    for row in session.execute(select(table.__table__)):
        owner = owners[row.id]
        values = row._mapping
        yield from damages(table.__tablename__, values, study=owner.study, label=owner.label)


def _study_part_damages(session: Session, studies: Mapping[object, _OwnedRow]) -> Iterator[Damage]:
    """Yield the damages of teachers and leases."""
    for table, label in ((TeacherRow, "the teacher"), (LeaseRow, "the lease")):
        for row in session.execute(select(table.__table__)):
            study = _study_of(row.study_id, studies)
            yield from damages(table.__tablename__, row._mapping, study=study, label=label)


def _trial_part_damages(session: Session, trials: Mapping[object, _OwnedRow]) -> Iterator[Damage]:
    """Yield the damages of stages and epochs."""
    for table in (StageRow, EpochRow):
        for row in session.execute(select(table.__table__)):
            owner = trials.get(row.trial_id, _OwnedRow("", f"row {row.trial_id} of trials"))
            label = f"{table.__tablename__[:-1]} {row.position} of {owner.label}"
            yield from damages(table.__tablename__, row._mapping, study=owner.study, label=label)


def _numbering_damages(session: Session, studies: Mapping[object, _OwnedRow]) -> Iterator[Damage]:
    """Yield the gaps in the trial numbers; a value that is no number is reported with its row."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in session.execute(select(TrialRow.study_id, TrialRow.number)):
        numbers[_study_of(row.study_id, studies)].append(row.number)
    for study, counted in numbers.items():
        if all(type(number) is int for number in counted):
            try:
                check_numbering(sorted(counted), study=study)
            except Unsound as unsound:
                yield unsound.damage


def _study_of(key: object, studies: Mapping[object, _OwnedRow]) -> str:
    owner = studies.get(key)
    return owner.study if owner else ""
