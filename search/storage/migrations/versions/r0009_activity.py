"""What the run of a study does now, and why its last run failed.

The tables of this revision; they are independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("studies", sa.Column("activity", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("failure", sa.Text(), nullable=True))
