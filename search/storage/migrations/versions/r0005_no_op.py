"""The latency after each stage, and the stages that made no difference.

Columns as they were at this revision, whatever `search.storage.tables` defines later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("trials", sa.Column("no_op", sa.Text(), nullable=True))
    op.add_column("stages", sa.Column("latency_ms", sa.Double(), nullable=True))
    op.add_column("stages", sa.Column("no_op", sa.Text(), nullable=True))
