"""The latency after each stage, and the stages without an effect.

The columns of this revision; they are independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("trials", sa.Column("no_op", sa.Text(), nullable=True))
    op.add_column("stages", sa.Column("latency_ms", sa.Double(), nullable=True))
    op.add_column("stages", sa.Column("no_op", sa.Text(), nullable=True))
