"""Kinds of trials, the time to train finalists, and the number of augmented views.

The columns of this revision; they are independent of `search.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("trials", sa.Column("kind", sa.Text(), nullable=False, server_default="search"))
    op.add_column("trials", sa.Column("repeats", sa.Integer(), nullable=True))
    op.add_column("studies", sa.Column("finals_s", sa.Double(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("views", sa.Integer(), nullable=True))
    op.add_column("studies", sa.Column("final_views", sa.Integer(), nullable=True))
