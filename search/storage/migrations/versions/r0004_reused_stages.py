"""Stages that a trial took over instead of computing them.

The column as it was at this revision, whatever `search.storage.tables` defines later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "stages", sa.Column("reused", sa.Boolean(), nullable=False, server_default=sa.false())
    )
