"""PostgreSQL that does not take a result: locked, read-only, full, without a connection to give."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest

from search.errors import StoreUnavailable
from search.files.filestore import FolderStore
from search.records import FailureRecord, Outcome, TrialState
from search.storage.artifact_owner import Claim
from search.storage.journal import Journal
from search.storage.retrying_writer import RetryingWriter, journal_of
from search.storage.storage import Store
from tests.faults.disks import small_disk
from tests.postgresql import PostgresqlServer

pytestmark = pytest.mark.postgres

ENDED = Outcome(
    state=TrialState.FAILED, failure=FailureRecord(kind="made_up", message="x", traceback="…")
)
_OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """A server whose settings the tests may change, if they put them back."""
    made = PostgresqlServer(max_connections=8)
    made.execute("CREATE ROLE reader")
    yield made
    made.remove()


@contextmanager
def _rows_locked(server: PostgresqlServer, url: str) -> Iterator[None]:
    """Another process has begun to change the study, and does nothing."""
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("SELECT * FROM studies FOR UPDATE")
        yield


@contextmanager
def _read_only(server: PostgresqlServer, url: str) -> Iterator[None]:
    """As a standby is, or a server that was set so in order to be moved."""
    with _set(server, url, "default_transaction_read_only", "on"):
        yield


@contextmanager
def _no_right(server: PostgresqlServer, url: str) -> Iterator[None]:
    """Ours are of a user now who may not write."""
    with _set(server, url, "role", "reader"):
        yield


@contextmanager
def _set(server: PostgresqlServer, url: str, name: str, value: str) -> Iterator[None]:
    database = f"ALTER DATABASE {url.rpartition('/')[2]}"
    server.execute(f"{database} SET {name} = {value}", _OURS)
    yield
    server.execute(f"{database} RESET {name}", _OURS)


@contextmanager
def _no_connection_left(server: PostgresqlServer, url: str) -> Iterator[None]:
    """Ours were lost, and others have taken all that there are."""
    server.execute(_OURS)
    with ExitStack() as others:
        while (one := _connected(server)) is not None:
            others.enter_context(one)
        yield


def _connected(server: PostgresqlServer) -> psycopg.Connection | None:
    try:
        return psycopg.connect(f"postgresql://{server.address}/postgres")
    except psycopg.OperationalError:
        return None


PROVOKED: dict[str, tuple[Callable[..., AbstractContextManager[None]], str]] = {
    "rows locked": (_rows_locked, r"stayed locked .* for 0\.3 s"),
    "read-only": (_read_only, "read-only: .*default_transaction_read_only"),
    "no connection left": (_no_connection_left, "no connection left"),
    "no right": (_no_right, "can't be written by this user"),
}


def _kept(store: Store, folder: Path) -> tuple[RetryingWriter, Journal]:
    """The way of a study's results to the store, and where they wait."""
    artifacts = FolderStore.of(folder / "digits")
    return RetryingWriter(store, "digits", Claim(artifacts, hold="")), journal_of(store, artifacts)


@pytest.mark.parametrize(("provoke", "told"), PROVOKED.values(), ids=PROVOKED)
def test_fault_06_a_result_that_postgresql_does_not_take_waits_in_the_journal(
    server: PostgresqlServer,
    tmp_path: Path,
    provoke: Callable[..., AbstractContextManager[None]],
    told: str,
) -> None:
    url = server.create_database()
    with Store.open(url, patience_s=0.3) as store:
        store.create_study("digits", config={}, artifacts=str(tmp_path / "digits"))
        writer, journal = _kept(store, tmp_path)
        number = writer.start({}, 0)
        with provoke(server, url), pytest.raises(StoreUnavailable, match=told):
            writer.finish(number, ENDED)
        assert store.trial("digits", number).state is TrialState.RUNNING
        assert journal.read_back(lambda *result: store.finish_trial("digits", *result)).kept == 1
        assert store.trial("digits", number).outcome == ENDED


def test_fault_06_a_connection_that_is_ended_and_a_server_that_is_started_anew_cost_nothing(
    server: PostgresqlServer, tmp_path: Path
) -> None:
    with Store.open(server.create_database()) as store:
        store.create_study("digits", config={}, artifacts=str(tmp_path / "digits"))
        writer, _ = _kept(store, tmp_path)
        first = writer.start({"a": 1}, 0)
        server.execute(_OURS)
        writer.finish(first, ENDED)
        second = writer.start({"a": 2}, 0)
        server.stop()
        server.start()
        writer.finish(second, ENDED)
        assert [trial.outcome for trial in store.trials("digits", whole=True)] == [ENDED] * 2


def test_fault_07_a_server_whose_disk_is_full_is_named_and_takes_the_result_with_room(
    server: PostgresqlServer, tmp_path: Path
) -> None:
    # pytest's own folders are closed to the server's user.
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder) / "disk") as disk:
        Path(folder).chmod(0o711)
        url = server.create_database(disk.path)
        with Store.open(url, patience_s=0.3) as store:
            store.create_study("digits", config={}, artifacts=str(tmp_path / "digits"))
            writer, journal = _kept(store, tmp_path)
            number = writer.start({}, 0)
            disk.fill()
            large = Outcome(
                state=TrialState.FAILED,
                failure=FailureRecord(kind="made_up", message="x", traceback=_incompressible()),
            )
            with pytest.raises(StoreUnavailable, match="its server's disk is full: make room"):
                writer.finish(number, large)
            disk.make_room()
            kept = journal.read_back(lambda *result: store.finish_trial("digits", *result)).kept
            assert kept == 1
            assert store.trial("digits", number).outcome == large
        name = url.rpartition("/")[2]
        server.execute(f"DROP DATABASE {name}", f"DROP TABLESPACE {name}")


def _incompressible() -> str:
    return np.random.default_rng(0).bytes(200_000).hex()
