"""Alembic runs this for every upgrade, on the connection that `search.storage.schema` passes."""

from alembic import context

from search.storage.tables import VERSION_TABLE, Table

# The transaction is the caller's: the tables and their version change together or not at all.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
