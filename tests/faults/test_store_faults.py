"""A store that is locked, gone, full, of another version, or written to twice."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, event, insert, select, text

from search.errors import DamagedRow, StoreError, StoreUnavailable, StudyHeld
from search.files.filestore import FolderStore
from search.objectives.goal import DEFAULT_GOAL
from search.records import FailureRecord, Outcome, StudyState, TrialState
from search.run import resume_study, run_study
from search.storage.artifact_owner import Claim
from search.storage.journal import Journal, ReadBack
from search.storage.leases import BEAT_S, beating, lives, standing, take, this_process
from search.storage.migrate import migrate
from search.storage.queries import changing
from search.storage.retrying_writer import RetryingWriter, journal_of
from search.storage.rows import hold_row
from search.storage.storage import Store
from search.storage.tables import SCHEMA, VERSION_TABLE
from tests.faults.conftest import check_invariants
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow

STORES = Path(__file__).parent / "stores"
EARLIER = [f"{number:04d}" for number in range(1, int(SCHEMA))]
ENDED = Outcome(
    state=TrialState.FAILED, failure=FailureRecord(kind="made_up", message="x", traceback="…")
)


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    """A server that the test may stop."""
    server = PostgresqlServer()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


def _locked(path: Path) -> sqlite3.Connection:
    lease = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    lease.execute("BEGIN IMMEDIATE")
    return lease


def test_fault_05_a_lock_of_some_seconds_is_waited_for(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}", patience_s=2) as store:
        store.create_study("digits", config={}, artifacts=str(tmp_path / "digits"))
        writer = RetryingWriter(
            store, "digits", Claim(FolderStore.of(tmp_path / "digits"), hold="")
        )
        number = writer.start({}, 0)
        lease = _locked(tmp_path / "retort.db")
        # Longer than the store waits for one lock, shorter than the ledger tries.
        release = threading.Timer(2.5, lease.close)
        release.start()
        writer.finish(number, ENDED)
        release.join()
        assert store.trial("digits", number).outcome == ENDED
        assert not journal_of(store, FolderStore.of(tmp_path / "digits")).path.exists()


def test_fault_05_a_lock_for_ever_ends_the_run_and_its_results_are_read_back(
    stripes_file: Path, tmp_path: Path
) -> None:
    leases: list[sqlite3.Connection] = []

    def lock(number: int) -> None:
        if number == 1:
            leases.append(_locked(tmp_path / "retort.db"))

    study = study_of(tmp_path, stripes_file)
    with Store.open(study.run.storage, patience_s=0.3) as store:
        with pytest.raises(StoreUnavailable, match=r"stayed locked.*unstored.jsonl.*retort resume"):
            run_study(study, store, TrialRecorder(lock))
        before = store.trials("stripes")
        assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.RUNNING]
        leases[0].close()
    with Store.open(study.run.storage) as store:
        recorder = TrialRecorder()
        # The holder is this very process, which lives: its hold is as left by a dead one.
        _forget_holder(tmp_path)
        resume_study(study, store, recorder)
    trials = check_invariants(tmp_path)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert recorder.said[0].startswith("1 results of the journal")
    assert recorder.started == [2]
    assert not list(tmp_path.glob("*.jsonl"))


def test_fault_07_a_full_database_ends_the_run_and_is_resumed_with_room(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file)
    with Store.open(study.run.storage, patience_s=0.3) as store:
        recorder = TrialRecorder(lambda number: _fill(store) if number == 1 else None)
        with pytest.raises(StoreUnavailable, match="disk is full: make room, then resume"):
            run_study(study, store, recorder)
    _forget_holder(tmp_path)
    with Store.open(study.run.storage) as store:
        resume_study(study, store, TrialRecorder())
    assert [trial.state for trial in check_invariants(tmp_path)] == [TrialState.COMPLETE] * 3


def _fill(store: Store) -> None:
    """Lets the store grow no more, on any connection, and uses up the room that it has."""
    engine = store._database._engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "checkout", limit)
    store.create_study("filling", config={}, artifacts="none")
    # Small rows first, which fill the page that the trials of the search are on.
    for length in (*[1] * 100, *[2000] * 10_000):
        try:
            store.start_trial("filling", params={"x": "y" * length}, seed=0)
        except StoreUnavailable:
            return


def _forget_holder(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "retort.db")) as connection:
        connection.execute("DELETE FROM holds")
        connection.commit()


@pytest.mark.postgres
def test_fault_06_a_database_that_comes_back_costs_a_wait_and_one_that_does_not_costs_no_result(
    own_postgresql: PostgresqlServer, stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, run={"storage": own_postgresql.create_database()})

    def outage(number: int) -> None:
        if number == 0:
            own_postgresql.stop()
            threading.Timer(1.0, own_postgresql.start).start()
        if number == 2:
            own_postgresql.stop()

    with Store.open(study.run.storage, patience_s=5) as store:
        recorder = TrialRecorder(outage)
        with pytest.raises(StoreUnavailable, match=r"can't be used.*unstored.jsonl.*retort resume"):
            run_study(study, store, recorder)
    assert recorder.started == [0, 1, 2]
    own_postgresql.start()
    with Store.open(study.run.storage) as store:
        states = [trial.state for trial in store.trials("stripes")]
        assert states == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING]
        lease = store.study("stripes").lease
        assert lease
        store.hold("stripes", this_process(), in_place_of=lease)
        store.release("stripes", elapsed_s=0)
        again = TrialRecorder()
        resume_study(study, store, again)
        trials = store.trials("stripes")
    assert again.started == []
    assert again.said[0].startswith("1 results of the journal")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3


def test_fault_14_a_study_is_held_by_one_process_and_a_dead_ones_hold_passes_on(
    tmp_path: Path,
) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        dead = replace(this_process(), process_start="1")
        store.create_study("digits", config={}, artifacts="artifacts", lease=dead)
        assert standing(store.study("digits")) is StudyState.INTERRUPTED
        mine = take(store, "digits", log=lambda text: None)
        assert standing(store.study("digits")) is StudyState.RUNNING
        with pytest.raises(
            StudyHeld, match=rf"being run by process {mine.pid} on {mine.host}, since 20"
        ):
            take(store, "digits", log=lambda text: None)
        store.release("digits", elapsed_s=3.0)
        assert store.study("digits").lease is None
        assert store.study("digits").elapsed_s == 3.0


def test_fault_14_who_lost_its_hold_writes_no_more(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    with Store.open(url) as first, Store.open(url) as second:
        old = this_process()
        first.create_study("digits", config={}, artifacts="artifacts", lease=old)
        number = first.start_trial("digits", params={}, seed=0)
        second.hold("digits", this_process(), in_place_of=old)
        with pytest.raises(StudyHeld, match="was taken over by process"):
            first.finish_trial("digits", number, ENDED)
        with pytest.raises(StudyHeld, match="was taken over by process"):
            first.beat("digits", elapsed_s=0)
        second.finish_trial("digits", number, ENDED)


@pytest.mark.parametrize("had_died", [False, True])
def test_fault_14_of_two_who_take_a_study_at_the_same_moment_one_is_refused(
    store: Store, store_url: str, *, had_died: bool
) -> None:
    dead = this_process() if had_died else None
    if dead:
        store.hold("digits", dead)
    with Store.open(store_url) as second, ThreadPoolExecutor(1) as pool:
        with store._database.writing() as session:
            row = changing(session, "digits")
            taking = pool.submit(second.hold, "digits", this_process(), in_place_of=dead)
            time.sleep(1)  # it waits for its turn
            row.hold = None
            session.flush()
            row.hold = hold_row(this_process())
        with pytest.raises(StudyHeld, match="digits is being run by process"):
            taking.result(60)


def test_fault_14_the_same_wish_to_add_a_trial_adds_one(store: Store) -> None:
    numbers = [store.start_trial("digits", params={"a": 1}, seed=0, key="k") for _ in range(2)]
    assert numbers == [0, 0]
    refused = [
        store.record_rejected("digits", params={}, seed=0, outcome=ENDED, key="r") for _ in "ab"
    ]
    assert refused == [1, 1]
    assert len(store.trials("digits")) == 2


def test_fault_15_a_holder_on_another_machine_is_told_dead_by_silence_not_by_clocks(
    store: Store,
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    far = replace(this_process(), machine="another", host="lab-3", since=ahead)
    assert lives(far) is None
    store.hold("digits", far)
    said: list[str] = []
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.02):
            store.beat("digits", elapsed_s=0)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(StudyHeld, match="on lab-3"):
            take(store, "digits", log=said.append, silence_s=5, beat_s=0.5)
    finally:
        stop.set()
        heart.join()
    assert "5 s" in said[0]
    take(store, "digits", log=said.append, silence_s=0.3, beat_s=0.5)


def test_fault_15_durations_are_monotonic_though_the_clock_jumps(
    stripes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Jumping(datetime):
        """A clock that was set back by a day with each look at it."""

        looks = 0

        @classmethod
        def now(cls, tz: object = None) -> datetime:
            cls.looks += 1
            return datetime.now(UTC) - timedelta(days=cls.looks)

    for module in ("search.storage.storage", "search.storage.queries", "search.storage.leases"):
        monkeypatch.setattr(f"{module}.datetime", Jumping)
    study = study_of(tmp_path, stripes_file, search={"max_time": "1h"})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        trials, record = store.trials("stripes"), store.study("stripes")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert all(trial.outcome and 0 < trial.outcome.duration_s < 3600 for trial in trials)
    assert 0 < record.elapsed_s < 3600
    assert Jumping.looks > 3


def test_the_time_that_was_used_stays_used(stripes_file: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, stripes_file, search={"max_time": "1h", "trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        used = store.study("stripes").elapsed_s
        more = study_of(tmp_path, stripes_file, search={"max_time": f"{used}s", "trials": 2})
        recorder = TrialRecorder()
        resume_study(more, store, recorder)
        assert len(store.trials("stripes")) == 1
    (told,) = (said for said in recorder.said if said.startswith("search.max_time is used up"))
    assert "1 of 2 trials were not run" in told
    assert "retort resume stripes search.max_time=…" in told


def test_a_heartbeat_tells_that_its_process_was_asked_to_stop(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        store.create_study("digits", config={}, artifacts="a", lease=this_process())
        asked = threading.Event()
        with (
            beating(store, "digits", beat_s=0.02) as heartbeat,
            heartbeat.listening(lambda why: asked.set(), lambda error: None),
        ):
            assert store.ask_to_stop("digits")
            assert asked.wait(300)
        assert store.study("digits").lease is None
        assert store.ask_to_stop("digits") is None
    assert BEAT_S < 30


def test_a_heartbeat_tells_who_has_taken_its_study_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    with Store.open(url) as first, Store.open(url) as second:
        mine = this_process()
        first.create_study("digits", config={}, artifacts="a", lease=mine)
        lost: list[StudyHeld] = []
        heard = threading.Event()

        def lose(error: StudyHeld) -> None:
            lost.append(error)
            heard.set()

        with (
            beating(first, "digits", beat_s=0.02) as heartbeat,
            heartbeat.listening(pytest.fail, lose),
        ):
            second.hold("digits", this_process(), in_place_of=mine)
            assert heard.wait(300)
        assert "was taken over by process" in str(lost[0])


@pytest.mark.parametrize("revision", EARLIER)
def test_fault_16_an_older_store_is_upgraded_after_a_backup(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "retort.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((STORES / f"schema_{revision}.sql").read_text())
    with pytest.raises(StoreError, match=f"has schema {revision}, but"):
        Store.open(f"sqlite:///{path}", read_only=True)
    with Store.open(f"sqlite:///{path}") as store:
        assert store.schema() == SCHEMA
        trials = store.trials("digits")
        assert trials[0].state is TrialState.COMPLETE
        assert store.study("digits").identity
        assert store.backup
        with closing(sqlite3.connect(store.backup)) as kept:
            found = kept.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
            assert found == (revision,)
            now = [(DEFAULT_GOAL.value(trial.outcome),) for trial in trials]
            assert _accuracies(kept, revision) == now
    with Store.open(f"sqlite:///{path}") as store:
        assert store.backup is None
    assert len(list(tmp_path.glob("*.bak.db"))) == 1


def test_an_upgrade_goes_past_a_row_that_was_damaged_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "retort.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript((STORES / f"schema_{EARLIER[-1]}.sql").read_text())
        old.execute("UPDATE trials SET started_at = 'yesterday' WHERE number = 1")
    with Store.open(f"sqlite:///{path}") as store:
        assert store.trial("digits", 0).state is TrialState.COMPLETE
        with pytest.raises(DamagedRow, match=r"trials\.started_at of trial 1"):
            store.trial("digits", 1)


@pytest.mark.postgres
@pytest.mark.parametrize("revision", EARLIER)
def test_fault_16_an_older_store_in_postgresql_is_upgraded_after_a_backup(
    new_postgresql: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    revision: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # where the backup is put
    url = new_postgresql()
    _fill_as_of(url, revision, tmp_path / "old.db")
    with pytest.raises(StoreError, match=f"has schema {revision}, but"):
        Store.open(url, read_only=True)
    with Store.open(url) as store:
        assert store.schema() == SCHEMA
        trials = store.trials("digits")
        assert trials[0].state is TrialState.COMPLETE
        assert store.study("digits").identity
        assert store.backup
        with closing(sqlite3.connect(store.backup)) as kept:
            found = kept.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
            assert found == (revision,)
            now = [(DEFAULT_GOAL.value(trial.outcome),) for trial in trials]
            assert _accuracies(kept, revision) == now


def _accuracies(store: sqlite3.Connection, revision: str) -> list[tuple[float | None]]:
    """Each trial's accuracy, by its number, in a store of this schema."""
    column = "accuracy" if revision < "0008" else "json_extract(quality, '$.accuracy.value')"
    return store.execute(f"SELECT {column} FROM trials ORDER BY number").fetchall()  # noqa: S608


def _fill_as_of(url: str, revision: str, path: Path) -> None:
    """Makes the tables that a schema had, and copies into them what its fixture holds."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript((STORES / f"schema_{revision}.sql").read_text())
    source, target = create_engine(f"sqlite:///{path}"), create_engine(url)
    with source.connect() as fixture, target.begin() as server:
        migrate(server, revision)
        held, tables = MetaData(), MetaData()
        held.reflect(fixture)
        tables.reflect(server)
        for table in tables.sorted_tables:
            rows = fixture.execute(select(held.tables[table.name])).mappings().all()
            if rows and table.name != VERSION_TABLE:
                server.execute(insert(table), [dict(row) for row in rows])
    source.dispose()
    target.dispose()


def test_fault_16_a_newer_store_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    Store.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    engine.dispose()
    before = (tmp_path / "retort.db").read_bytes()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"has schema 9999.*upgrade retort"):
            Store.open(url, read_only=read_only)
    assert (tmp_path / "retort.db").read_bytes() == before


def test_a_backup_is_a_store_itself(store: Store, tmp_path: Path) -> None:
    number = store.start_trial("digits", params={"a": 1.5}, seed=7)
    store.finish_trial("digits", number, ENDED)
    path = store.back_up(tmp_path / "copy.db")
    with Store.open(f"sqlite:///{path}", read_only=True) as copy:
        assert copy.trials("digits", whole=True) == store.trials("digits", whole=True)
        assert copy.study("digits") == store.study("digits")
    with pytest.raises(StoreError, match=r"copy\.db"):
        store.back_up(path)


class TestJournal:
    def test_what_was_written_is_read_back_and_then_gone(self, tmp_path: Path) -> None:
        journal, kept = Journal(tmp_path / "new" / "j.jsonl"), []
        journal.write(3, ENDED)
        journal.write(4, replace(ENDED, reason="a\0b\udcff"))
        read = journal.read_back(lambda number, outcome: kept.append((number, outcome)))
        assert read == ReadBack(kept=2)
        assert kept == [(3, ENDED), (4, replace(ENDED, reason="a\0b\udcff"))]
        assert not journal.path.exists()

    @pytest.mark.parametrize("fault", ["cut", "flipped", "emptied"])
    def test_fault_12_a_damaged_line_is_counted_and_never_used(
        self, tmp_path: Path, fault: str
    ) -> None:
        journal, kept = Journal(tmp_path / "j.jsonl"), []
        journal.write(3, ENDED)
        whole = journal.path.read_bytes()
        damaged = {
            "cut": whole[: len(whole) // 2],
            "flipped": whole.replace(b"made_up", b"made_uq"),
            "emptied": b"{}",
        }[fault]
        journal.path.write_bytes(damaged)
        journal.write(4, ENDED)
        assert journal.read_back(lambda number, outcome: kept.append(number)) == ReadBack(
            1, damaged=1
        )
        assert kept == [4]

    def test_what_the_store_refuses_is_set_aside_and_the_rest_is_kept(self, tmp_path: Path) -> None:
        journal, kept = Journal(tmp_path / "j.jsonl"), []
        for number in (3, 4, 5):
            journal.write(number, ENDED)

        def keep(number: int, outcome: Outcome) -> None:
            if number == 4:
                raise StoreError("trial 4 ended already, with another outcome")
            kept.append(number)

        assert journal.read_back(keep) == ReadBack(kept=2, refused=1)
        assert kept == [3, 5]
        assert not journal.path.exists()
        again: list[int] = []
        journal.refused_path.rename(journal.path)
        assert journal.read_back(lambda number, outcome: again.append(number)) == ReadBack(kept=1)
        assert again == [4]

    def test_what_another_process_holds_stays_in_the_journal(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "j.jsonl")
        journal.write(3, ENDED)

        def keep(number: int, outcome: Outcome) -> None:
            raise StudyHeld("another process runs it")

        with pytest.raises(StudyHeld):
            journal.read_back(keep)
        assert journal.path.exists()
