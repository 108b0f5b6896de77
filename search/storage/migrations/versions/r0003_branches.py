"""Trials that start from the trained student of another trial.

The column of this revision; it is independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("trials", sa.Column("parent", sa.Integer(), nullable=True))
