"""Stages that a trial reused from a cache instead of computing them.

The column of this revision; it is independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "stages", sa.Column("reused", sa.Boolean(), nullable=False, server_default=sa.false())
    )
