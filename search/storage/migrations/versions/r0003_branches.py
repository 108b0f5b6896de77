"""Trials that take over the trained student of another.

The column as it was at this revision, whatever `search.storage.tables` defines later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("trials", sa.Column("parent", sa.Integer(), nullable=True))
