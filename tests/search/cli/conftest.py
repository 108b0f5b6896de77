"""The command, and stores filled through their own interface."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner, Result

from search.cli.app import app
from search.cli.main import main
from search.records import Outcome, Scalar, StudyState
from search.storage.storage import Store
from tests.search.cli.made_outcomes import PARAMS, TEACHER

MAIN = "import sys; sys.argv[0] = 'retort'; from search.cli.main import main; main()"
AddStudy = Callable[..., None]
Retort = Callable[..., Result]
RetortProcess = Callable[..., subprocess.CompletedProcess[str]]
RetortProcesses = Callable[..., list[subprocess.CompletedProcess[str]]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no store named in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETORT_STORE", raising=False)
    return tmp_path


@pytest.fixture
def add_study(home: Path, empty_database: Path) -> AddStudy:
    """Adds a study with these outcomes, a trial each, to `retort.db` in the current folder."""

    def add(
        *outcomes: Outcome,
        name: str = "digits",
        params: Mapping[str, Scalar] = PARAMS,
        size: str | None = "300KB",
        search: Mapping[str, object] = MappingProxyType({}),
        budget: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        if not (home / "retort.db").exists():
            shutil.copyfile(empty_database, home / "retort.db")
        with Store.open(f"sqlite:///{home / 'retort.db'}") as store:
            config = {"study": name, "budget": {"size": size, **budget}, "search": dict(search)}
            store.create_study(name, config=config, artifacts=str(home / "artifacts"))
            store.record_teacher(name, TEACHER)
            for outcome in outcomes:
                number = store.start_trial(name, params=params, seed=0)
                store.finish_trial(name, number, outcome)
            store.set_study_state(name, StudyState.FINISHED)

    return add


@pytest.fixture
def retort() -> Retort:
    """Runs a command in this process; a failure of ours comes through as its own exception."""

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    return call


ONE_AFTER_ANOTHER = """
import json, os, sys
from search.cli.main import main

folder, commands = sys.argv[1], json.loads(sys.argv[2])
codes = []
for place, arguments in enumerate(commands):
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{folder}/{place}.{name}", os.O_CREAT | os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["retort", *arguments]
    try:
        main()
    except SystemExit as end:
        codes.append(end.code or 0)
    sys.stdout.flush()
    with open(f"{folder}/codes", "w") as file:
        json.dump(codes, file)
"""


@pytest.fixture
def retort_processes(tmp_path_factory: pytest.TempPathFactory) -> RetortProcesses:
    """Runs commands one after another in a process of their own, which starts but once."""

    def call(*commands: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        folder = tmp_path_factory.mktemp("commands")
        script = [sys.executable, "-c", ONE_AFTER_ANOTHER, str(folder), json.dumps(commands)]
        subprocess.run(script, check=True)
        return [
            subprocess.CompletedProcess(
                arguments,
                code,
                (folder / f"{place}.out").read_text(),
                (folder / f"{place}.err").read_text(),
            )
            for place, (arguments, code) in enumerate(
                zip(commands, json.loads((folder / "codes").read_text()), strict=True)
            )
        ]

    return call


@pytest.fixture
def retort_process() -> RetortProcess:
    """Runs a command as a person does, in a process of its own."""

    def call(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", MAIN, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload]

    return call


@pytest.fixture
def retort_main(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> RetortProcess:
    """Runs a command to its exit code and its messages, in this process, that need not start."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr("sys.argv", ["retort", *arguments])
        for name in ("sys.stdout", "sys.stderr"):  # `main` puts others in their place for good
            monkeypatch.setattr(name, None)
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return subprocess.CompletedProcess(
            arguments, int(ended.value.code or 0), told.out, told.err
        )

    return call
