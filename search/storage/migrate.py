"""Migration of a database to a revision, by Alembic."""

from pathlib import Path

from sqlalchemy import Connection


def migrate(connection: Connection, revision: str) -> None:
    """Migrate the tables to a revision, in the connection's transaction."""
    # Imported here since the import is slow, and readers don't need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    migrations = Path(__file__).parent / "migrations"
    # Alembic interprets % as an interpolation.
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
