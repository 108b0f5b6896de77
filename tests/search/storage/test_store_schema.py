"""A store's schema: created, checked, and refused where it is not ours or not of this version."""

import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from search.errors import StoreError
from search.storage.storage import Store, safe_url
from search.storage.tables import SCHEMA, VERSION_TABLE, Table
from tests.messages import naming


def test_the_declared_schema_is_the_newest_migration() -> None:
    migrations = Path(sys.modules["search.storage.tables"].__file__ or "").parent
    assert ScriptDirectory(str(migrations / "migrations")).get_current_head() == SCHEMA


def test_migrations_from_empty_build_the_declared_tables(store: Store, store_url: str) -> None:
    engine = create_engine(store_url)
    options = {"version_table": VERSION_TABLE}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_migrations_build_the_declared_constraints(tmp_path: Path) -> None:
    sqlite_url = f"sqlite:///{tmp_path / 'retort.db'}"
    Store.open(sqlite_url).close()
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    Table.metadata.create_all(declared)
    migrated = create_engine(sqlite_url)
    both = [_definitions(engine) for engine in (declared, migrated)]
    assert both[0] == both[1]
    declared.dispose()
    migrated.dispose()


def test_opening_again_changes_nothing(store: Store, store_url: str) -> None:
    number = store.start_trial("digits", params={}, seed=7)
    with Store.open(store_url) as again:
        assert again.trial("digits", number) == store.trial("digits", number)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_schema_is_refused(store: Store, store_url: str, read_only: bool) -> None:
    _set_revision(store_url, "9999")
    with pytest.raises(StoreError, match=naming("9999", SCHEMA)):
        Store.open(store_url, read_only=read_only)


def test_an_older_schema_is_not_read(store: Store, store_url: str) -> None:
    _set_revision(store_url, "0000")
    with pytest.raises(StoreError, match=naming("0000", SCHEMA, "retort run")):
        Store.open(store_url, read_only=True)


def test_an_empty_database_is_not_read(store_url: str) -> None:
    if store_url.startswith("sqlite"):
        Path(store_url.removeprefix("sqlite:///")).touch()
    with pytest.raises(StoreError, match=naming("retort run")):
        Store.open(store_url, read_only=True)


@pytest.mark.parametrize("read_only", [True, False])
def test_another_programs_database_is_refused(store_url: str, read_only: bool) -> None:
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match=naming("invoices")):
        Store.open(store_url, read_only=read_only)


def test_a_read_only_store_refuses_to_write(store: Store, store_url: str) -> None:
    with (
        Store.open(store_url, read_only=True) as reader,
        pytest.raises(StoreError, match=naming(safe_url(store_url))),
    ):
        reader.start_trial("digits", params={}, seed=7)
    assert store.trials("digits") == []


def _definitions(engine: Engine) -> dict[str, list[str]]:
    """Each table's constraints and each index's definition, in alphabetical order."""
    query = text(f"SELECT name, sql FROM sqlite_master WHERE tbl_name <> '{VERSION_TABLE}'")  # noqa: S608
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    # The columns are compared by Alembic; one that was added later stands behind the constraints.
    # SQLite puts the name of a table that was made anew into quotes.
    return {
        name: sorted(
            line.strip(" \t,)").replace(f'"{name}"', name)
            for line in (sql or "").splitlines()
            if line.strip().startswith(("CONSTRAINT", "CREATE"))
        )
        for name, sql in rows
    }


def _set_revision(url: str, revision: str) -> None:
    engine = create_engine(url)
    update = f"UPDATE {VERSION_TABLE} SET version_num = :revision"  # noqa: S608
    with engine.begin() as connection:
        connection.execute(text(update), {"revision": revision})
    engine.dispose()
