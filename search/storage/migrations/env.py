"""Alembic runs this file for every upgrade, on the connection of `search.storage.migrate`."""

from alembic import context

from search.storage.tables import VERSION_TABLE, Table

# The caller's transaction changes the tables and their version together, or not at all.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
