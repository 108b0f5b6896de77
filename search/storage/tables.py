"""The store's tables. Every change of a table needs a migration in `migrations/versions`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from search.records import StudyState, TrialKind, TrialState
from search.storage.columns import Flag, UtcTime

SCHEMA = "0011"
"""The newest revision in `migrations/versions`; a newer revision has a greater number."""

VERSION_TABLE = "retort_schema"
"""Alembic's version table. Its name marks a database as retort's."""


class Table(DeclarativeBase):
    """The base of all tables. Every constraint has a name, so that a migration can change it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy requires this declaration
        str: Text,
        bool: Flag,
        datetime: UtcTime,
        dict[str, Any]: JSON(none_as_null=True),
    }


def _one_of(column: str, values: type[StudyState] | type[TrialState]) -> CheckConstraint:
    names = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=f"{column}_is_known")


def _not_negative(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} >= 0", name=f"{column}_is_not_negative")


class StudyRow(Table):
    """A study. Every write to it or its trials locks this row and increases `changed_at`."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    config: Mapped[dict[str, Any]]
    artifacts: Mapped[str]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    data_digest: Mapped[str | None]
    elapsed_s: Mapped[float] = mapped_column(server_default="0")
    finals_s: Mapped[float] = mapped_column(server_default="0")
    views: Mapped[int | None]
    final_views: Mapped[int | None]
    identity: Mapped[str] = mapped_column(server_default="")
    claim: Mapped[str | None]
    claim_before: Mapped[str | None]
    activity: Mapped[str | None]
    failure: Mapped[str | None]
    teacher: Mapped["TeacherRow | None"] = relationship(lazy="joined", cascade="all, delete-orphan")
    hold: Mapped["LeaseRow | None"] = relationship(lazy="joined", cascade="all, delete-orphan")

    __table_args__ = (_one_of("state", StudyState),)


class LeaseRow(Table):
    """The process that runs a study; no row if none does. See `search.records.Lease`."""

    __tablename__ = "holds"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    token: Mapped[str]
    host: Mapped[str]
    machine: Mapped[str]
    pid: Mapped[int] = mapped_column(BigInteger)
    process_start: Mapped[str]
    since: Mapped[datetime]
    beats: Mapped[int] = mapped_column(BigInteger)
    stopping: Mapped[bool]


class TeacherRow(Table):
    """A study's teacher."""

    __tablename__ = "teachers"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str]
    digest: Mapped[str]
    quality: Mapped[dict[str, Any]]
    test: Mapped[dict[str, Any] | None]
    cost: Mapped[dict[str, Any]]


class TrialRow(Table):
    """A trial. Values for filters and sorting have columns; the others are JSON."""

    __tablename__ = "trials"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    number: Mapped[int]
    parent: Mapped[int | None]
    key: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="1")
    kind: Mapped[str] = mapped_column(server_default=TrialKind.SEARCH.value)
    repeats: Mapped[int | None]
    state: Mapped[str]
    params: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    duration_s: Mapped[float | None]
    quality: Mapped[dict[str, Any] | None]
    test: Mapped[dict[str, Any] | None]
    cost: Mapped[dict[str, Any] | None]
    reason: Mapped[str | None]
    no_op: Mapped[str | None]
    violations: Mapped[dict[str, Any]]
    hardware: Mapped[dict[str, Any]]
    artifact_path: Mapped[str | None]
    artifact_sha256: Mapped[str | None]
    failure_kind: Mapped[str | None]
    failure_message: Mapped[str | None]
    failure_traceback: Mapped[str | None]
    stages: Mapped[list["StageRow"]] = relationship(
        lazy="raise", order_by="StageRow.position", cascade="all, delete-orphan"
    )
    epochs: Mapped[list["EpochRow"]] = relationship(
        lazy="raise", order_by="EpochRow.position", cascade="all, delete-orphan"
    )

    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        # The key identifies one request to add a trial, so that a caller can repeat it safely.
        Index(None, "study_id", "key", unique=True),
        Index(None, "study_id", "state"),
        _one_of("state", TrialState),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="ends_once"),
        CheckConstraint(
            "state <> 'complete' OR (quality IS NOT NULL AND cost IS NOT NULL)",
            name="complete_is_measured",
        ),
        _not_negative("number"),
        _not_negative("duration_s"),
    )


class StageRow(Table):
    """One stage of a trial; `position` is its place in the order of execution."""

    __tablename__ = "stages"

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    seconds: Mapped[float]
    score: Mapped[float | None]
    cost: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    reused: Mapped[bool] = mapped_column(server_default=false())
    no_op: Mapped[str | None]


class EpochRow(Table):
    """One point of a trial's learning curves."""

    __tablename__ = "epochs"

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stage: Mapped[str]
    epoch: Mapped[int]
    loss: Mapped[float]
    score: Mapped[float]
    learning_rate: Mapped[float]
    floors: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class CostRow(Table):
    """The cost of an untrained student of one shape, in one setting. All studies share it."""

    __tablename__ = "costs"

    id: Mapped[int] = mapped_column(primary_key=True)
    channels: Mapped[int]
    image_size: Mapped[int]
    classes: Mapped[int]
    processor: Mapped[str]
    device: Mapped[str]
    threads: Mapped[int]
    runtime: Mapped[str]
    student: Mapped[str]
    pruning: Mapped[str]
    quantization: Mapped[str]
    cost: Mapped[dict[str, Any]]
    measured_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint(
            "processor",
            "runtime",
            "device",
            "threads",
            "channels",
            "image_size",
            "classes",
            "student",
            "pruning",
            "quantization",
            name="uq_costs_setting_shape",
        ),
    )
