"""Real databases of both kinds, and a real trial in one.

SQLite files, and one PostgreSQL server a session where its binaries are.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.records import StudyRecord, TrialRecord, TrialState
from search.store import Store
from search.task import Task
from search.trial import finish, run_trial
from spaces.recipe import Recipe
from tests.conftest import SIZE

Finished = Callable[..., tuple[StudyRecord, TrialRecord]]

PASSWORD = "correct-horse"  # noqa: S105 - of a server that lives as long as the tests


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The `user:password@host:port` of a server started for these tests."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="retort-postgresql-"))
    password = folder / "password"
    password.write_text(PASSWORD)
    if user:
        for path in (folder, password):
            shutil.chown(path, user)

    def call(program: str, *arguments: str) -> None:
        command = [str(binaries / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    port = _free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call("initdb", "-U", "retort", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8")
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"retort:{PASSWORD}@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def new_postgresql(postgresql_server: str) -> Callable[[], str]:
    """Gives the URL of a new, empty PostgreSQL database."""
    import psycopg

    def create() -> str:
        name = f"test_{os.urandom(6).hex()}"
        address = f"postgresql://{postgresql_server}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{postgresql_server}/{name}"

    return create


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'retort.db'}"
    create: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return create()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store with one study, `digits`."""
    with Store.open(store_url) as store:
        store.create_study("digits", config={"seed": 1}, artifacts="artifacts")
        yield store


@pytest.fixture
def finished(
    task: Task, recipe: Callable[..., Recipe], stripes_file: Path, tmp_path: Path
) -> Iterator[Finished]:
    """Runs a trial of the study `stripes` into `retort.db`; the study and the trial of it."""
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        data = {"source": "npz", "path": str(stripes_file), "image_size": SIZE, "flip": False}
        config = {"study": "stripes", "seed": 0, "data": data}
        store.create_study("stripes", config=config, artifacts=str(task.artifacts))

        def end(**choices: object) -> tuple[StudyRecord, TrialRecord]:
            chosen = recipe(**choices)
            number = store.start_trial("stripes", params=chosen.to_params(), seed=0)
            outcome = finish(run_trial(chosen, task, number=number, seed=0))
            assert outcome.state is TrialState.COMPLETE, outcome.failure
            store.finish_trial("stripes", number, outcome)
            return store.study("stripes"), store.trial("stripes", number)

        yield end
