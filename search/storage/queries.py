"""Queries for the rows of studies and trials, and locks for their changes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from search.errors import StoreError
from search.records import IN_SEARCH, TRAINING, Purpose, Scalar, TrainingDone, TrialState
from search.storage.soundness import check_study, check_trial
from search.storage.tables import EpochRow, StageRow, StudyRow, TrialRow
from spaces.names import suggestion

_HEAVY = TrialRow.failure_traceback.key


def new_trial(
    session: Session,
    study: StudyRow,
    *,
    params: Mapping[str, Scalar],
    seed: int,
    parent: int | None = None,
    key: str | None = None,
    purpose: Purpose = IN_SEARCH,
) -> TrialRow:
    """Create a running trial's row, with the study's next number."""
    newest = session.scalar(select(func.max(TrialRow.number)).where(TrialRow.study_id == study.id))
    row = TrialRow(
        study_id=study.id,
        number=0 if newest is None else newest + 1,
        parent=parent,
        key=key,
        kind=purpose.kind.value,
        repeats=purpose.repeats,
        attempts=1,
        state=TrialState.RUNNING.value,
        params=dict(params),
        seed=seed,
        started_at=datetime.now(UTC),
        violations={},
        hardware={},
    )
    session.add(row)
    return row


def keyed_trial(session: Session, study: StudyRow, key: str | None) -> TrialRow | None:
    """Return the trial that an earlier request with this key added, if there is one."""
    if key is None:
        return None
    own = TrialRow.study_id == study.id, TrialRow.key == key
    return session.scalar(trials_query(study, whole=False).where(*own))


def find_study(session: Session, name: str, *, lock: bool = False) -> StudyRow:
    query = select(StudyRow).where(StudyRow.name == name)
    row = session.scalar(query.with_for_update(of=StudyRow) if lock else query)
    if row is not None and lock:
        # While this process waited for the lock, another may have changed the row or joined rows.
        session.refresh(row)
    if row is None:
        known = study_names(session, newest_first=True)
        raise StoreError(f"the store has no study {name}: {_known(name, known)}")
    check_study(row)
    return row


def study_names(session: Session, *, newest_first: bool = False) -> list[str]:
    """Return the names of all studies, in the order in which they were created or changed."""
    order = StudyRow.changed_at.desc() if newest_first else StudyRow.id
    # A manual edit may have put any value into the column.
    return [
        name
        for name in session.scalars(select(StudyRow.name).order_by(order))
        if isinstance(name, str)
    ]


def _known(name: str, known: Sequence[str]) -> str:
    if not known:
        return "it has no study yet, start one with `retort run`"
    shown = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    return f"it has {shown}{suggestion(name, known)}"


def changing(session: Session, name: str) -> StudyRow:
    """Return the study's row, locked against other writers until the transaction ends."""
    row = find_study(session, name, lock=True)
    mark_changed(row)
    return row


def mark_changed(row: StudyRow) -> None:
    # Always increase the time, even if the clock was set back: a live view compares only this.
    row.changed_at = max(datetime.now(UTC), row.changed_at + timedelta(microseconds=1))


def trials_query(study: StudyRow, *, whole: bool) -> Select[TrialRow]:
    query = select(TrialRow).where(TrialRow.study_id == study.id)
    if whole:
        return query.options(selectinload(TrialRow.stages), selectinload(TrialRow.epochs))
    return query.options(defer(TrialRow.failure_traceback, raiseload=True))


def trials_matching(
    study: StudyRow,
    *,
    states: Collection[TrialState] | None,
    numbers: Collection[int] | None = None,
    methods: Sequence[Mapping[str, Collection[str]]] = (),
) -> list[ColumnElement[bool]]:
    """Return the conditions of a query; for each of `methods`, one parameter must match."""
    conditions = [TrialRow.study_id == study.id]
    if states is not None:
        conditions.append(TrialRow.state.in_([state.value for state in states]))
    if numbers is not None:
        conditions.append(TrialRow.number.in_(numbers))
    for names in methods:
        fitting = (TrialRow.params[name].as_string().in_(names[name]) for name in names)
        conditions.append(or_(false(), *fitting))
    return conditions


def light_trials_query() -> Select[Any]:
    """Select plain rows of trials without tracebacks: ORM objects would be slow."""
    columns = (column for column in TrialRow.__table__.columns if column.name != _HEAVY)
    return select(*columns)


def training_done(session: Session, study: StudyRow) -> dict[int, TrainingDone]:
    """Return for each trial the epochs of its training, and whether they were reused."""
    counts = (
        select(TrialRow.number, func.count())
        .join(EpochRow, EpochRow.trial_id == TrialRow.id)
        .where(TrialRow.study_id == study.id, EpochRow.stage == TRAINING)
        .group_by(TrialRow.number)
    )
    with_reuse = (
        select(TrialRow.number)
        .join(StageRow, StageRow.trial_id == TrialRow.id)
        .where(TrialRow.study_id == study.id, StageRow.name == TRAINING, StageRow.reused)
    )
    reused = set(session.scalars(with_reuse))
    return {
        number: TrainingDone(epochs=epochs, reused=number in reused)
        for number, epochs in session.execute(counts)
    }


def find_trial(session: Session, study: StudyRow, number: int, *, whole: bool = False) -> TrialRow:
    row = session.scalar(trials_query(study, whole=whole).where(TrialRow.number == number))
    if row is None:
        raise StoreError(
            f"{study.name} has no trial {number}: list its trials with "
            f"`retort trials --study {study.name}`"
        )
    check_trial(row, study=study.name, whole=whole)
    return row
