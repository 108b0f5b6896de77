"""The values that the floors of a budget bound, after each epoch.

The column of this revision; it is independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("epochs", sa.Column("floors", sa.JSON(), nullable=False, server_default="{}"))
