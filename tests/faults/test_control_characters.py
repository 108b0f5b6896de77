"""Text that others wrote is shown as text: it moves no cursor, and is no markup."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.spinner import Spinner
from typer.testing import CliRunner

from dashboard.report.document import ReportData, report
from search.cli.app import app
from search.cli.main import main
from search.cli.terminal import complain, out, say
from search.storage.storage import Store
from tests.search.cli.made_outcomes import COMPLETE, FAILED, PARAMS, TEACHER

# Escape, C1's own, a turn of the reading direction, a jump to the line's begin; and rich's markup.
EVIL = "\x1b[31m\x9b1m\u202ex\r\x07[bold]y[link=z]"
SHOWN = r"\x1b[31m\x9b1m\u202ex\r\x07[bold]y[link=z]"
COLUMNS = {
    "studies": ("name", "data_digest"),
    "teachers": ("name", "digest"),
    "trials": ("reason", "no_op", "failure_kind", "failure_message", "failure_traceback",
               "artifact_path"),
    "stages": ("name", "no_op"),
}  # fmt: skip


def _unshowable(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable()} - {"\n", "\t"}


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store whose every text was edited by hand."""
    folder = tmp_path_factory.mktemp("edited")
    with Store.open(f"sqlite:///{folder / 'retort.db'}") as store:
        store.create_study("digits", config={}, artifacts=str(folder / "artifacts"))
        store.record_teacher("digits", TEACHER)
        for outcome in (COMPLETE, FAILED):
            number = store.start_trial("digits", params=PARAMS, seed=0)
            store.finish_trial("digits", number, outcome)
    params = json.dumps({**PARAMS, "student.timm.model": EVIL, EVIL: EVIL})
    with closing(sqlite3.connect(folder / "retort.db")) as raw, raw:
        raw.execute(
            "UPDATE trials SET params = ?, hardware = ?", (params, json.dumps({EVIL: EVIL}))
        )
        for table, columns in COLUMNS.items():
            for column in columns:
                raw.execute(f"UPDATE {table} SET {column} = ?", (EVIL,))  # noqa: S608
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("status", "--json"), ("trials",), ("trials", "--format", "csv"),
        ("show", "0"), ("show", "1"), ("show", "0", "--as-study"), ("best",), ("db", "check"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_fault_35_commands_show_control_characters_as_text(
    edited: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(edited)
    monkeypatch.delenv("RETORT_STORE", raising=False)
    monkeypatch.setattr(out, "_width", 300)
    output = CliRunner().invoke(app, command).output
    assert _unshowable(output) == set()
    assert SHOWN in output or "--json" in command or "--as-study" in command


def test_fault_35_errors_show_control_characters_as_text(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(edited)
    monkeypatch.setattr("sys.argv", ["retort", "trials", "--study", EVIL + "?"])
    for name in ("sys.stdout", "sys.stderr"):  # `main` puts others in their place for good
        monkeypatch.setattr(name, None)
    with pytest.raises(SystemExit):
        main()
    told = capfd.readouterr().err
    assert _unshowable(told) == set()
    assert f"{SHOWN}?" in told


def test_fault_35_names_of_files_that_are_no_text_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("/images/\udcff.png: cat")
    complain("/images/\udcff.png can't be read")
    told = capsys.readouterr()
    assert r"/images/\udcff.png: cat" in told.out
    assert r"/images/\udcff.png can't be read" in told.err


def test_fault_35_what_spins_shows_control_characters_as_text() -> None:
    with out.capture() as captured:
        out.print(Spinner("dots", text="\x1b[2J"))
    assert r"\x1b[2J" in captured.get()


def test_fault_35_a_report_shows_control_characters_as_text(edited: Path) -> None:
    with Store.open(f"sqlite:///{edited / 'retort.db'}", read_only=True) as store:
        (study,) = store.studies()
        trials = store.trials(EVIL)
    assert not isinstance(study, Exception)
    page = report(ReportData(study=study, trials=trials, done={}))
    body = page[page.index("<h1>") :]
    assert r"\x1b[31m\x9b1m\u202ex" in body
    assert not {"\x1b", "\x9b", "\u202e"} & set(body)
