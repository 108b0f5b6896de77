"""Conversion between the tables' rows and the records that the rest of the program uses."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from sqlalchemy import Row

from search.errors import ImpossibleValue, NotFinite, StoreError
from search.objectives.floors import is_recall
from search.objectives.metrics import metrics
from search.records import (
    ArtifactRecord,
    Cost,
    EpochRecord,
    FailureRecord,
    Lease,
    Measurement,
    Outcome,
    Quality,
    StageRecord,
    StudyRecord,
    StudyState,
    TeacherRecord,
    TrialKind,
    TrialRecord,
    TrialState,
)
from search.storage.soundness import check_study, check_trial
from search.storage.tables import EpochRow, LeaseRow, StageRow, StudyRow, TeacherRow, TrialRow

_Record = TypeVar("_Record", StageRecord, EpochRecord, Lease)


def study_record(row: StudyRow) -> StudyRecord:
    check_study(row)
    return StudyRecord(
        name=row.name,
        state=StudyState(row.state),
        config=row.config,
        artifacts=row.artifacts,
        teacher=None if row.teacher is None else _teacher_record(row.teacher),
        created_at=row.created_at,
        changed_at=row.changed_at,
        data_digest=row.data_digest,
        elapsed_s=row.elapsed_s,
        identity=row.identity,
        claims=tuple(claim for claim in (row.claim, row.claim_before) if claim),
        lease=None if row.hold is None else _like(Lease, row.hold),
        activity=row.activity,
        failure=row.failure,
        finals_s=row.finals_s,
        views=row.views,
        final_views=row.final_views,
    )


def hold_row(lease: Lease) -> LeaseRow:
    return LeaseRow(**asdict(lease))


def teacher_row(teacher: TeacherRecord) -> TeacherRow:
    return TeacherRow(
        name=teacher.name,
        digest=teacher.digest,
        quality=quality_values(teacher.quality),
        test=quality_values(teacher.test),
        cost=dict(teacher.cost),
    )


def trial_record(row: TrialRow | Row[Any], *, study: str, whole: bool) -> TrialRecord:
    """Return a row's record; unless `whole`, without its stages, epochs and traceback.

    If `whole` is False, `row` may also be a plain row with the same columns.
    """
    check_trial(row, study=study, whole=whole)
    state = TrialState(row.state)
    return TrialRecord(
        study=study,
        number=row.number,
        state=state,
        params=row.params,
        seed=row.seed,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=None if state is TrialState.RUNNING else _outcome(row, state, whole=whole),
        test=quality_of(row.test),
        parent=row.parent,
        attempts=row.attempts,
        kind=TrialKind(row.kind),
        repeats=row.repeats,
    )


def put_outcome(row: TrialRow, outcome: Outcome) -> None:
    """Write an outcome into its trial's row; branches have their own rows."""
    row.state = outcome.state.value
    row.duration_s = outcome.duration_s
    row.reason = outcome.reason
    row.no_op = outcome.no_op
    row.violations = dict(outcome.violations)
    row.hardware = dict(outcome.hardware)
    row.quality = quality_values(outcome.quality)
    if outcome.state is TrialState.COMPLETE and not outcome.quality:
        row.quality = {}  # of a refit: NULL would mean that a complete trial lacks a measurement
    row.cost = None if outcome.cost is None else dict(outcome.cost)
    if outcome.artifact is not None:
        row.artifact_path, row.artifact_sha256 = outcome.artifact.path, outcome.artifact.sha256
    if outcome.failure is not None:
        row.failure_kind = outcome.failure.kind
        row.failure_message = outcome.failure.message
        row.failure_traceback = outcome.failure.traceback
    row.stages = [StageRow(position=i, **asdict(stage)) for i, stage in enumerate(outcome.stages)]
    row.epochs = [EpochRow(position=i, **asdict(epoch)) for i, epoch in enumerate(outcome.epochs)]


def storable(outcome: Outcome, *, kind: TrialKind = TrialKind.SEARCH) -> Outcome:
    """Check an outcome, and return it with texts that a database accepts.

    Raises:
        StoreError: its state is running, it is complete without a cost or a quality, it is of a
            refit with a quality, or it contains a number that is not finite.
    """
    if outcome.state is TrialState.RUNNING:
        raise StoreError("a trial's outcome must have a final state, but has the state running")
    if kind is TrialKind.REFIT and outcome.quality:
        raise StoreError(
            "a refit must have no quality on validation images, because it was trained on them, "
            f"but has {', '.join(outcome.quality)}"
        )
    is_measured = bool(outcome.cost) and (bool(outcome.quality) or kind is TrialKind.REFIT)
    if outcome.state is TrialState.COMPLETE and not is_measured:
        raise StoreError("a complete trial must have a cost and a quality")
    check_finite(asdict(outcome))
    check_measured(outcome.quality, outcome.cost or {})
    failure = outcome.failure
    if failure is not None:
        texts = {key: storable_text(value) for key, value in asdict(failure).items()}
        failure = FailureRecord(**texts)
    reason = None if outcome.reason is None else storable_text(outcome.reason)
    return replace(outcome, failure=failure, reason=reason)


def check_measured(quality: Quality, cost: Cost) -> None:
    """Check that metrics are in their range, and standard errors and costs are not negative.

    Raises:
        ImpossibleValue: names the first invalid value.
    """
    for name, found in quality.items():
        metric = metrics().get(name)
        if metric and not metric.can_be(found.value):
            raise ImpossibleValue(
                f"{name} must not be better than {metric.best:g}"
                f"{f' or worse than {metric.worst:g}' if metric.is_share else ''}, "
                f"but is {found.value}"
            )
        if is_recall(name) and not 0 <= found.value <= 1:
            raise ImpossibleValue(f"{name} must be from 0 to 1, but is {found.value}")
        if found.error is not None and found.error < 0:
            raise ImpossibleValue(
                f"the standard error of {name} must not be negative, but is {found.error}"
            )
    for name, value in cost.items():
        if value < 0:
            raise ImpossibleValue(f"{name} must not be negative, but is {value}")


def check_finite(values: Mapping[str, object]) -> None:
    """Check that nested values contain no NaN or infinity; SQLite would store NaN as NULL.

    Raises:
        NotFinite: names the place of the first such number.
    """
    for place, value in _numbers(values, ""):
        if not math.isfinite(value):
            raise NotFinite(f"{place} must be finite, but got {value}")


def _numbers(value: object, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, inner in enumerate(value):
            yield from _numbers(inner, f"{place}[{i}]")
    elif isinstance(value, float):
        yield place, value


def storable_text(text: str) -> str:
    """Escape NUL and lone surrogates: other programs' messages have them, databases refuse them."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _teacher_record(row: TeacherRow) -> TeacherRecord:
    return TeacherRecord(
        name=row.name,
        digest=row.digest,
        quality=quality_of(row.quality),
        cost=row.cost,
        test=quality_of(row.test),
    )


def _outcome(row: TrialRow | Row[Any], state: TrialState, *, whole: bool) -> Outcome:
    return Outcome(
        state=state,
        cost=row.cost,
        quality=quality_of(row.quality),
        reason=row.reason,
        no_op=row.no_op,
        violations=row.violations,
        artifact=_artifact(row),
        failure=_failure(row, whole=whole),
        stages=tuple(_like(StageRecord, stage) for stage in row.stages) if whole else (),
        epochs=tuple(_like(EpochRecord, epoch) for epoch in row.epochs) if whole else (),
        hardware=row.hardware,
        duration_s=row.duration_s or 0.0,
    )


def _like(record: type[_Record], row: object) -> _Record:
    """Return a record from a row whose columns have the names of the record's fields."""
    return record(**{field.name: getattr(row, field.name) for field in fields(record)})


def quality_of(values: Mapping[str, Any] | None) -> Quality:
    """Return the metrics from a column's value; an empty mapping for NULL."""
    return {name: Measurement(**found) for name, found in (values or {}).items()}


def quality_values(quality: Quality) -> dict[str, Any] | None:
    """Return the column's value for metrics; NULL for an empty mapping."""
    return {name: asdict(found) for name, found in quality.items()} or None


def _artifact(row: TrialRow | Row[Any]) -> ArtifactRecord | None:
    if row.artifact_path is None or row.artifact_sha256 is None:
        return None
    return ArtifactRecord(path=row.artifact_path, sha256=row.artifact_sha256)


def _failure(row: TrialRow | Row[Any], *, whole: bool) -> FailureRecord | None:
    if row.failure_kind is None:
        return None
    return FailureRecord(
        kind=row.failure_kind,
        message=row.failure_message or "",
        traceback=(row.failure_traceback or "") if whole else "",
    )
