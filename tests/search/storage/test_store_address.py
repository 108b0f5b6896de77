"""Where stores are: which URLs are taken, and that none is shown with its secrets."""

import sys

import pytest

from search.errors import StoreError, StoreUnavailable
from search.storage.storage import Store, safe_url
from tests.messages import naming
from tests.postgresql import PostgresqlServer


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///retort.db", "sqlite:///retort.db"),
        ("retort.db", "retort.db"),
        ("postgresql://me:hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:hunter2@host/db?a=1", "postgresql://me:***@host/db?a=***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@host/db",
        "postgresql+psycopg://host/db?user=me&password=hunter2",
        "postgresql+psycopg://me@host/db?sslpassword=hunter2&sslmode=require",
        "postgresql+psycopg://me@host/db?sslpassword=hunter2&sslpassword=hunter2",
        "postgresql+psycopg://me:hunt@hunter2@host/db",
        "postgresql+psycopg://me:a/hunter2@host:port/db",
        "postgresql+psycopg://me:a?hunter2@host/db",
        "postgresql+psycopg://me:a@b?hunter2@host/db",
        "postgresql+psycopg://me:a@b?c=hunter2@host/db",
        "postgresql+psycopg://me:hunter2@host:hunter2/db",
        "mysql://me:hunter2@host/db",
        "sqlite:///retort.db?key=hunter2",
        "sqlite://me:hunter2@host/retort.db",
        "host=here password=hunter2",
        "me:hunter2@host/db",
        "://me:hunter2@host/db",
    ],
)
def test_fault_21_no_error_holds_a_secret(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "hunter2" not in safe_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro"])
def test_a_sqlite_store_is_a_file_without_options(url: str) -> None:
    with pytest.raises(StoreError, match=naming(safe_url(url))):
        Store.open(url)


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreError, match=naming("SQLite", "PostgreSQL", "mysql://host/db")):
        Store.open("mysql://host/db")


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(StoreError, match=naming("URL", "notes.db")):
        Store.open("notes.db")


def test_a_missing_psycopg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=naming("pip install -e '.[postgresql]'")):
        Store.open("postgresql+psycopg://me@host/db")


def test_an_absent_server_is_named() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnavailable, match=naming("127.0.0.1:1", "refused")):
        Store.open("postgresql+psycopg://me:hunter2@127.0.0.1:1/db")


@pytest.mark.postgres
def test_a_wrong_password_is_not_repeated(postgresql: PostgresqlServer) -> None:
    _, _, host = postgresql.address.partition("@")
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store.open(f"postgresql+psycopg://retort:hunter2@{host}/postgres")
    assert "hunter2" not in str(caught.value)
