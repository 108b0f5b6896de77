"""SQLite files: locks, kills, full disks and files that are no store."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from search.errors import StoreError, StoreUnavailable
from search.records import (
    Outcome,
    TrialState,
)
from search.storage.storage import Store
from tests.messages import naming

FAILED = Outcome(state=TrialState.FAILED, reason="m" * 10**6)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'retort.db'}"


def start(store: Store) -> int:
    return store.start_trial("digits", params={}, seed=7)


def test_a_missing_store_is_not_created_by_a_reader(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    with pytest.raises(StoreError, match=naming(url, "retort run")):
        Store.open(url, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "retort.db"
    with pytest.raises(StoreError, match=naming(path, "folder")):
        Store.open(f"sqlite:///{path}")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, by any means; only so many words that nobody will read")
    with pytest.raises(StoreError, match=naming(path, "SQLite")):
        Store.open(f"sqlite:///{path}", read_only=read_only)


def test_another_programs_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=naming(path, "invoices")):
        Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["theirs.db"]


def test_odd_characters_in_a_path_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "100% of #1 a+b.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.create_study("digits", config={}, artifacts="artifacts")
    assert path.exists()


def test_the_store_outlives_a_change_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///retort.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.create_study("digits", config={}, artifacts="artifacts")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_writer_waits_for_a_short_lock(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url) as store, ThreadPoolExecutor(1) as pool:
        store.create_study("digits", config={}, artifacts="artifacts")
        lease = sqlite3.connect(
            tmp_path / "retort.db", isolation_level=None, check_same_thread=False
        )
        lease.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(start, store)
        time.sleep(0.3)
        assert not waiting.done()
        lease.execute("COMMIT")
        lease.close()
        assert waiting.result(timeout=300) == 0


def test_a_lock_held_too_long_is_named_and_the_store_works_after(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Store.open(sqlite_url, patience_s=0.2) as store:
        store.create_study("digits", config={}, artifacts="artifacts")
        lease = sqlite3.connect(tmp_path / "retort.db", isolation_level=None)
        lease.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=naming(sqlite_url, "0.2 s")):
            start(store)
        lease.execute("COMMIT")
        lease.close()
        assert start(store) == 0


def test_a_reader_sees_the_last_commit_while_another_writes(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Store.open(sqlite_url) as store:
        store.create_study("digits", config={}, artifacts="artifacts")
    lease = sqlite3.connect(tmp_path / "retort.db", isolation_level=None)
    lease.execute("BEGIN IMMEDIATE")
    lease.execute("DELETE FROM studies")
    with Store.open(sqlite_url, read_only=True, patience_s=0.2) as reader:
        assert reader.latest_study().name == "digits"
    lease.execute("ROLLBACK")
    lease.close()


def test_a_full_database_is_named_and_works_once_there_is_room(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Store.open(sqlite_url) as store:
        store.create_study("digits", config={}, artifacts="artifacts")
        number = start(store)
        engine = store._database._engine  # a limit of pages holds for one connection only
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable, match=naming(sqlite_url, "disk")):
            store.finish_trial("digits", number, FAILED)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        store.finish_trial("digits", number, FAILED)
        assert store.trial("digits", number).state is TrialState.FAILED


def test_writes_survive_a_killed_writer(sqlite_url: str) -> None:
    writer = _python(
        f"""
        from search.records import Outcome, TrialState
        store = Store.open({sqlite_url!r})
        store.create_study("digits", config={{}}, artifacts="artifacts")
        while True:
            number = store.start_trial("digits", params={{}}, seed=0)
            store.finish_trial("digits", number, Outcome(state=TrialState.STOPPED))
            print(number, flush=True)
        """
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    with Store.open(sqlite_url, read_only=True) as store:
        stopped = store.trials("digits", states={TrialState.STOPPED})
    assert {trial.number for trial in stopped} >= set(acknowledged)
    with Store.open(sqlite_url) as store:
        assert store.interrupt_running("digits") <= 1


def test_eight_processes_that_open_and_write_at_once_lose_nothing(sqlite_url: str) -> None:
    writers = [
        _python(
            f"""
            with Store.open({sqlite_url!r}) as store:
                store.create_study("study{i}", config={{}}, artifacts="artifacts")
                for _ in range(25):
                    store.start_trial("study{i}", params={{}}, seed=0)
            """
        )
        for i in range(8)
    ]
    for writer in writers:
        output, _ = writer.communicate(timeout=800)
        assert writer.returncode == 0, output
    with Store.open(sqlite_url, read_only=True) as store:
        assert [store.pulse(f"study{i}")[0] for i in range(8)] == [25] * 8


def test_a_backup_that_cannot_be_written_says_so(sqlite_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "missing" / "copy.db"
    with Store.open(sqlite_url) as store, pytest.raises(StoreError, match=naming(copy)):
        store.back_up(copy)


def _python(code: str) -> subprocess.Popen[str]:
    lines = code.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    program = "\n".join(
        ["from search.storage.storage import Store", *(line[indent:] for line in lines)]
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
