"""Studies, teachers, trials, their stages and epochs.

The tables of this revision; they are independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("artifacts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('running', 'finished', 'interrupted', 'failed')",
            name=op.f("ck_studies_state_is_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("name", name=op.f("uq_studies_name")),
    )
    op.create_table(
        "teachers",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("test_accuracy", sa.Double(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("latency_p95_ms", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "accuracy >= 0 AND accuracy <= 1", name=op.f("ck_teachers_accuracy_is_a_share")
        ),
        sa.CheckConstraint("latency_ms >= 0", name=op.f("ck_teachers_latency_ms_is_not_negative")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_teachers_size_bytes_is_not_negative")),
        sa.CheckConstraint(
            "test_accuracy >= 0 AND test_accuracy <= 1",
            name=op.f("ck_teachers_test_accuracy_is_a_share"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_teachers_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_teachers")),
    )
    op.create_table(
        "trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("agreement", sa.Double(), nullable=True),
        sa.Column("test_accuracy", sa.Double(), nullable=True),
        sa.Column("test_agreement", sa.Double(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("latency_p95_ms", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("hardware", sa.JSON(), nullable=False),
        sa.Column("artifact_path", sa.Text(), nullable=True),
        sa.Column("artifact_sha256", sa.Text(), nullable=True),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_traceback", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (finished_at IS NULL)", name=op.f("ck_trials_ends_once")
        ),
        sa.CheckConstraint(
            "state <> 'complete' OR (accuracy IS NOT NULL AND agreement IS NOT NULL AND "
            "size_bytes IS NOT NULL AND parameters IS NOT NULL AND macs IS NOT NULL)",
            name=op.f("ck_trials_complete_is_measured"),
        ),
        sa.CheckConstraint(
            "state IN ('running', 'complete', 'infeasible', 'stopped', 'failed', 'interrupted')",
            name=op.f("ck_trials_state_is_known"),
        ),
        sa.CheckConstraint(
            "accuracy >= 0 AND accuracy <= 1", name=op.f("ck_trials_accuracy_is_a_share")
        ),
        sa.CheckConstraint(
            "agreement >= 0 AND agreement <= 1", name=op.f("ck_trials_agreement_is_a_share")
        ),
        sa.CheckConstraint("duration_s >= 0", name=op.f("ck_trials_duration_s_is_not_negative")),
        sa.CheckConstraint("latency_ms >= 0", name=op.f("ck_trials_latency_ms_is_not_negative")),
        sa.CheckConstraint(
            "latency_p95_ms >= 0", name=op.f("ck_trials_latency_p95_ms_is_not_negative")
        ),
        sa.CheckConstraint("macs >= 0", name=op.f("ck_trials_macs_is_not_negative")),
        sa.CheckConstraint("number >= 0", name=op.f("ck_trials_number_is_not_negative")),
        sa.CheckConstraint("parameters >= 0", name=op.f("ck_trials_parameters_is_not_negative")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_trials_size_bytes_is_not_negative")),
        sa.CheckConstraint(
            "test_accuracy >= 0 AND test_accuracy <= 1",
            name=op.f("ck_trials_test_accuracy_is_a_share"),
        ),
        sa.CheckConstraint(
            "test_agreement >= 0 AND test_agreement <= 1",
            name=op.f("ck_trials_test_agreement_is_a_share"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_trials_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_trials_study_id_number")),
    )
    op.create_index(op.f("ix_trials_study_id_state"), "trials", ["study_id", "state"], unique=False)
    op.create_table(
        "epochs",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.id"], name=op.f("fk_epochs_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "position", name=op.f("pk_epochs")),
    )
    op.create_table(
        "stages",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("macs", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.id"], name=op.f("fk_stages_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "position", name=op.f("pk_stages")),
    )
