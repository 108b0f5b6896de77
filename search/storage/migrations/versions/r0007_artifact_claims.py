"""The study that an artifacts folder belongs to, and the lease that claimed it last.

The tables of this revision; they are independent of `search.storage.tables`.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("studies", sa.Column("identity", sa.Text(), nullable=False, server_default=""))
    op.add_column("studies", sa.Column("claim", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("claim_before", sa.Text(), nullable=True))
    studies = sa.table("studies", sa.column("id", sa.Integer), sa.column("identity", sa.Text))
    connection = op.get_bind()
    for (key,) in connection.execute(sa.select(studies.c.id)).all():
        own = sa.update(studies).where(studies.c.id == key)
        connection.execute(own.values(identity=uuid.uuid4().hex))
