"""The process that runs a study, its search time, and how often a trial was started.

The tables of this revision; they are independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("studies", sa.Column("data_digest", sa.Text(), nullable=True))
    op.add_column(
        "studies", sa.Column("elapsed_s", sa.Double(), nullable=False, server_default="0")
    )
    op.add_column("trials", sa.Column("key", sa.Text(), nullable=True))
    op.add_column("trials", sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"))
    op.create_index(op.f("ix_trials_study_id_key"), "trials", ["study_id", "key"], unique=True)
    op.create_table(
        "holds",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_start", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("stopping", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_holds_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_holds")),
    )
