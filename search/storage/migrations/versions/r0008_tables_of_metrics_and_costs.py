"""Metrics and costs by name, in JSON, so that new metrics and limits need no migration.

The tables of this revision; they are independent of `search.storage.tables`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_COSTS = ("size_bytes", "parameters", "macs", "latency_ms", "latency_p95_ms")
_OF_STAGES = ("parameters", "macs", "size_bytes", "latency_ms")
_QUALITY = {"accuracy": "accuracy", "agreement": "agreement"}
_TEST = {"accuracy": "test_accuracy", "agreement": "test_agreement"}
_AT_A_TIME = 1000
_Values = Mapping[Any, Any]


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    # To change a CHECK in SQLite, the table is created again. Dropping the old table also deletes
    # the rows of its child tables.
    children = ("stages", "epochs") if is_sqlite else ()
    for table in children:
        op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608
    _upgrade_trials()
    for table in children:
        op.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608
        op.execute(f"DROP TABLE kept_{table}")
    _upgrade_teachers()
    _upgrade_costs()
    op.add_column("stages", sa.Column("cost", sa.JSON(), nullable=False, server_default="{}"))
    _fill(
        "stages",
        ("trial_id", "position"),
        _OF_STAGES,
        lambda row: {"cost": _cost(row, _OF_STAGES) or {}},
    )
    for column in _OF_STAGES:
        op.drop_column("stages", column)
    for table in ("stages", "epochs"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN accuracy TO score")


def _upgrade_trials() -> None:
    for column in ("quality", "test", "cost"):
        op.add_column("trials", sa.Column(column, sa.JSON(), nullable=True))
    _fill(
        "trials",
        ("id",),
        (*_QUALITY.values(), *_TEST.values(), *_COSTS),
        lambda row: {
            "quality": _measured(row, _QUALITY),
            "test": _measured(row, _TEST),
            "cost": _cost(row, _COSTS),
        },
    )
    with op.batch_alter_table("trials", copy_from=_trials()) as batch:
        for column in (*_QUALITY.values(), *_TEST.values(), *_COSTS):
            batch.drop_column(column)
        batch.create_check_constraint(
            op.f("ck_trials_complete_is_measured"),
            "state <> 'complete' OR (quality IS NOT NULL AND cost IS NOT NULL)",
        )


def _upgrade_teachers() -> None:
    for column in ("quality", "test", "cost"):
        op.add_column("teachers", sa.Column(column, sa.JSON(), nullable=True))
    _fill(
        "teachers",
        ("study_id",),
        ("accuracy", "test_accuracy", *_COSTS),
        lambda row: {
            "quality": _measured(row, {"accuracy": "accuracy"}),
            "test": _measured(row, {"accuracy": "test_accuracy"}),
            "cost": _cost(row, _COSTS),
        },
    )
    with op.batch_alter_table("teachers", copy_from=_teachers()) as batch:
        for column in ("accuracy", "test_accuracy", *_COSTS):
            batch.drop_column(column)
        batch.alter_column("quality", nullable=False)
        batch.alter_column("cost", nullable=False)


def _upgrade_costs() -> None:
    op.add_column("costs", sa.Column("cost", sa.JSON(), nullable=True))
    _fill("costs", ("id",), _COSTS, lambda row: {"cost": _cost(row, _COSTS)})
    with op.batch_alter_table("costs", copy_from=_costs()) as batch:
        for column in _COSTS:
            batch.drop_column(column)
        batch.alter_column("cost", nullable=False)


def _fill(
    name: str, keys: Sequence[str], columns: Sequence[str], filled: Callable[[_Values], _Values]
) -> None:
    """Fill the new columns of every row from the old `columns`.

    No other columns are read, since a manual edit may have damaged them.
    """
    connection = op.get_bind()
    old = sa.table(name, *map(sa.column, (*keys, *columns)))
    new = sa.table(name, *(sa.column(key) for key in keys), *_json("quality", "test", "cost"))
    rows = connection.execute(sa.select(old)).mappings().all()
    if not rows:
        return
    update = sa.update(new).values(
        {column: sa.bindparam(f"new_{column}") for column in filled(rows[0])}
    )
    for key in keys:
        update = update.where(new.c[key] == sa.bindparam(f"old_{key}"))
    for start in range(0, len(rows), _AT_A_TIME):
        connection.execute(
            update,
            [
                {f"old_{key}": row[key] for key in keys}
                | {f"new_{column}": value for column, value in filled(row).items()}
                for row in rows[start : start + _AT_A_TIME]
            ],
        )


def _json(*names: str) -> list[sa.ColumnClause[Any]]:
    return [sa.column(name, sa.JSON(none_as_null=True)) for name in names]


def _measured(row: _Values, columns: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the metrics by name; versions before 0.2 stored no standard errors."""
    found = {
        metric: {"value": row[column], "error": None}
        for metric, column in columns.items()
        if row[column] is not None
    }
    return found or None


def _cost(row: _Values, columns: Sequence[str]) -> dict[str, Any] | None:
    return {column: row[column] for column in columns if row[column] is not None} or None


def _trials() -> sa.Table:
    """Return the table without the constraints on the old columns."""
    return sa.Table(
        "trials",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        *(sa.Column(name, sa.Double()) for name in (*_QUALITY.values(), *_TEST.values(), *_COSTS)),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("hardware", sa.JSON(), nullable=False),
        sa.Column("artifact_path", sa.Text(), nullable=True),
        sa.Column("artifact_sha256", sa.Text(), nullable=True),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_traceback", sa.Text(), nullable=True),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("no_op", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("quality", sa.JSON(), nullable=True),
        sa.Column("test", sa.JSON(), nullable=True),
        sa.Column("cost", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (finished_at IS NULL)", name=op.f("ck_trials_ends_once")
        ),
        sa.CheckConstraint(
            "state IN ('running', 'complete', 'infeasible', 'stopped', 'failed', 'interrupted')",
            name=op.f("ck_trials_state_is_known"),
        ),
        sa.CheckConstraint("duration_s >= 0", name=op.f("ck_trials_duration_s_is_not_negative")),
        sa.CheckConstraint("number >= 0", name=op.f("ck_trials_number_is_not_negative")),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_trials_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_trials_study_id_number")),
        sa.Index(op.f("ix_trials_study_id_state"), "study_id", "state"),
        sa.Index(op.f("ix_trials_study_id_key"), "study_id", "key", unique=True),
    )


def _teachers() -> sa.Table:
    return sa.Table(
        "teachers",
        sa.MetaData(),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("accuracy", "test_accuracy", *_COSTS)),
        sa.Column("quality", sa.JSON(), nullable=True),
        sa.Column("test", sa.JSON(), nullable=True),
        sa.Column("cost", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_teachers_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_teachers")),
    )


def _costs() -> sa.Table:
    setting = ("processor", "runtime", "device", "threads", "channels", "image_size", "classes")
    shape = ("student", "pruning", "quantization")
    numbers = ("channels", "image_size", "classes", "threads")
    return sa.Table(
        "costs",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in numbers),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("processor", "device", "runtime", *shape)
        ),
        *(sa.Column(name, sa.Double()) for name in _COSTS),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cost", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_costs")),
        sa.UniqueConstraint(*setting, *shape, name=op.f("uq_costs_setting_shape")),
    )
