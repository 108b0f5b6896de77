"""The command as a whole: its help, its exit codes, and what never reaches the person."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from search.cli.app import app
from tests.messages import naming
from tests.plugins import write_plugin
from tests.search.cli.conftest import MAIN, AddStudy, Retort, RetortProcess, RetortProcesses
from tests.search.cli.made_outcomes import COMPLETE, FAILED

README = Path(__file__).parents[3] / "README.md"
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
SECRET = "correct-horse"  # noqa: S105 - of no one


def test_every_command_of_the_issue_is_there() -> None:
    assert COMMANDS == [
        "agent", "best", "dashboard", "db", "demo", "doctor", "evaluate", "export", "init",
        "limits", "methods", "metrics", "plan", "predict", "profile", "report", "resume", "run",
        "settings", "show", "status", "stop", "trials", "verify",
    ]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(retort: Retort, command: str) -> None:
    result = retort(command, "--help")
    assert result.exit_code == 0
    assert f"retort {command}" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"\bretort {command}\b", README.read_text())


def test_the_version_is_that_of_the_installed_package(retort: Retort) -> None:
    assert retort("--version").stdout.split() == ["retort", version("retort")]


def test_output_to_a_file_is_written_line_by_line(tmp_path: Path) -> None:
    script = "from search.cli.output import lasting_output; lasting_output(); print('one'); "
    with (tmp_path / "out").open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{script} import time; time.sleep(600)"], stdout=file
        )
    try:
        end = time.monotonic() + 300
        while not (tmp_path / "out").read_text() and time.monotonic() < end:
            time.sleep(0.05)
        assert (tmp_path / "out").read_text() == "one\n"
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_the_console_script_answers() -> None:
    script = Path(sys.executable).with_name("retort")
    result = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert naming(*COMMANDS).search(result.stdout)


def test_the_exit_code_tells_how_it_ended(
    retort_processes: RetortProcesses, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    ends: list[tuple[list[str], int, list[object]]] = [
        (["trials"], 0, []),
        (["trials", "--study", "digit"], 1, ["digit", "digits"]),
        (["trials", "--store", "sqlite:///none.db"], 1, ["none.db"]),
        (["best", "--max-size", "2parsec"], 2, ["--max-size", "'2parsec'"]),
        (["frobnicate"], 2, ["frobnicate"]),
        (["best", "--max-size", "1KB"], 3, ["size", 0, "1.00 KB"]),
    ]
    results = retort_processes(*(arguments for arguments, _, _ in ends))
    for result, (arguments, code, facts) in zip(results, ends, strict=True):
        assert result.returncode == code, arguments
        assert naming(*facts).search(result.stderr)
        assert "Traceback" not in result.stderr
        assert bool(result.stdout) == (code == 0)


def test_a_missing_store_is_not_created(retort_processes: RetortProcesses, home: Path) -> None:
    for result in retort_processes(["status"], ["trials"], ["show", "0"], ["best"]):
        assert result.returncode == 1
        assert "retort.db" in result.stderr
    assert list(home.iterdir()) == []


def test_ctrl_c_ends_with_130(home: Path) -> None:
    fifo = home / "study.yaml"
    os.mkfifo(fifo)
    # A shell's background jobs are deaf to it, and so is what they start.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{hears}; {MAIN}", "plan", str(fifo)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # Opens only once the command has opened it too, which then waits for text.
    with process, fifo.open("w"):
        time.sleep(0.5)  # a signal on the way there may be swallowed by a destructor
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in told


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_has_had_enough_gives_no_traceback(add_study: AddStudy, reader: str) -> None:
    add_study(*[FAILED] * 40)
    command = f"'{sys.executable}' -c \"{MAIN}\" trials --format json | {reader}"
    piped = ["bash", "-o", "pipefail", "-c", command]
    result = subprocess.run(piped, capture_output=True, text=True, check=True)
    assert result.stderr == ""


@pytest.mark.parametrize(("output", "code"), [(">/dev/full", 1), (">&-", 0), (">&- 2>&-", 0)])
def test_an_output_that_takes_nothing_gives_no_traceback(
    add_study: AddStudy, output: str, code: int
) -> None:
    add_study(FAILED)
    command = f"'{sys.executable}' -c \"{MAIN}\" trials --format json {output}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert bool(result.stderr) == (code == 1)
    assert "Traceback" not in result.stderr


def test_what_is_no_terminal_gets_no_colours(
    retort_processes: RetortProcesses, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    commands = ["status"], ["trials"], ["show", "0"], ["best", "--max-size", "1B"]
    for result in retort_processes(*commands):
        assert result.stdout + result.stderr
        assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/retort",
        f"postgresql+psycopg://me:{SECRET}@x@127.0.0.1:1/retort",
        f"mysql://me:{SECRET}@127.0.0.1/retort",
        f"postgresql://127.0.0.1:1/retort?password={SECRET}",
    ],
)
def test_fault_21_a_stores_password_is_nowhere_in_the_output(command: str, url: str) -> None:
    result = CliRunner().invoke(app, [command, "--store", url])
    shown = result.output + str(result.exception)
    assert "***" in shown
    assert SECRET not in shown


def test_the_store_can_be_named_by_the_environment(
    retort: Retort, add_study: AddStudy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_study(COMPLETE)
    (home / "retort.db").rename(home / "other.db")
    monkeypatch.setenv("RETORT_STORE", "sqlite:///other.db")
    assert [study["study"] for study in json.loads(retort("status", "--json").stdout)] == ["digits"]


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(
    retort_main: RetortProcess, home: Path
) -> None:
    (home / "file").write_text("")
    result = retort_main("init", "file/below")
    assert result.returncode == 1
    assert "file/below" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["status"], ["run", "study.yaml"]])
def test_a_plugin_that_does_not_import_is_named_by_what_needs_it(
    command: list[str], home: Path
) -> None:
    site = home / "site"
    site.mkdir()
    write_plugin(site, "broken", "import a_library_that_is_not_there")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(README.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert naming("broken", "a_library_that_is_not_there").search(done.stderr)
    assert "Traceback" not in done.stderr


# What reads a store computes estimates with SciPy, but trains and searches nothing.
TRAINING = {
    *("torch", "torchvision", "timm", "torch_pruning", "onnx", "onnxruntime", "ray", "optuna"),
    *("matplotlib", "pandas", "sklearn", "streamlit", "plotly", "alembic", "huggingface_hub"),
    *("fsspec.implementations.http", "sqlalchemy.dialects.postgresql"),
}
READING = {*TRAINING, "scipy"}
HELPING = {*READING, "sqlalchemy", "numpy", "yaml"}


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (["--help"], HELPING),
        (["--version"], HELPING),
        (["status"], TRAINING),
        (["best"], TRAINING),
        (["trials"], READING),
        (["show", "0"], READING),
        (["metrics"], READING),
        (["limits"], READING),
        (["init", "--list"], READING),
        (["run", "--help"], READING),
        (["stop", "--help"], READING),
        (["export", "--help"], READING),
        (["db", "check", "--help"], READING),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_command_imports_no_library_that_it_does_not_use(
    command: list[str], heavy: set[str], home: Path, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    listing = f"import atexit, sys; atexit.register(lambda: print({heavy!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", f"{listing}\n{MAIN}", *command],
        env={**os.environ, "PYTHONPATH": str(README.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"
