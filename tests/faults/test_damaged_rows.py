"""A store that was edited by hand, one value at a time: named by `db check`, one line elsewhere."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import JSON, Column, Float, Integer
from typer.testing import CliRunner, Result

from search.cli.main import app
from search.database.columns import Flag, UtcTime
from search.database.tables import Table
from search.errors import DamagedRow, RetortError
from search.keeping.holding import this_process
from search.records import EpochRecord, Setting, Shape, StudyState
from search.store import Store
from tests.search.cli.made_outcomes import COMPLETE, COST, FAILED, INFEASIBLE, PARAMS, TEACHER

DAMAGED, SOUND = "damaged", "sound"
# As SQL: what an editor of SQLite files takes in a column, though it is no value of it.
_TEXTS = ("x'ff00'", "CAST(x'ff' AS TEXT)")
_NUMBERS = ("'much'", "x'00'", "9e999", "-1", "1e300")
_COUNTS = ("'many'", "x'00'", "2.5", "-1", "1e300")
_TIMES = ("'yesterday'", "5", "x'00'", "'9999-12-31 23:59:59.999999'")
_OBJECTS = (
    *("'{'", "''", "'null'", "'[]'", "'5'", "5", "x'7b7d'", "CAST(x'7bff7d' AS TEXT)"),
    *("""'{"a": Infinity}'""", """'{"a": 1e999}'""", """'{"a": [NaN]}'""", """'{"a": "\\ud800"}'"""),
    f"'{'[' * 9000}'",
)
_BY_NAME = {
    "state": ("'flying'", "x'00'"),
    "name": ("x'00'", "''", "'../elsewhere'"),
    "artifact_path": ("'/etc'", "'../../elsewhere'", "''", "x'00'"),
    "config": (
        *_OBJECTS, """'{"budget": {"size": "much"}}'""", """'{"budget": 5}'""", """'{"run": []}'""",
        """'{"budget": {"latency": -1}}'""",
    ),
    **dict.fromkeys(("accuracy", "agreement", "test_accuracy", "test_agreement"), (*_NUMBERS, "2.5")),
    "loss": ("'much'", "x'00'", "-9e999"),
    "seed": ("'many'", "2.5"),
}  # fmt: skip
KEYS = ("id", "study_id", "trial_id")
COLUMNS = [
    (table.name, column)
    for table in Table.metadata.sorted_tables
    for column in table.columns
    if column.name not in KEYS
]


def _damages(column: Column[object]) -> Sequence[str]:
    if column.name in _BY_NAME:
        return _BY_NAME[column.name]
    kinds = ((JSON, _OBJECTS), (UtcTime, _TIMES), (Flag, ("7", "'yes'")), (Float, _NUMBERS),
             (Integer, _COUNTS))  # fmt: skip
    return next((found for kind, found in kinds if isinstance(column.type, kind)), _TEXTS)


def _fill(store: Store, name: str, artifacts: Path) -> None:
    config = {"study": name, "budget": {"size": "300KB"}, "data": {"source": "digits"}}
    store.create_study(name, config=config, artifacts=str(artifacts), holder=this_process())
    store.record_teacher(name, TEACHER)
    epochs = (EpochRecord(stage="distil", epoch=0, loss=1.5, accuracy=0.5, learning_rate=0.01),)
    for outcome in (replace(COMPLETE, epochs=epochs), FAILED, INFEASIBLE):
        number = store.start_trial(name, params=PARAMS, seed=0, key=f"k{outcome.state}")
        store.finish_trial(name, number, outcome)
    store.set_study_state(name, StudyState.FINISHED)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two studies, as the program itself writes it."""
    folder = tmp_path_factory.mktemp("made")
    file = folder / "retort.db"
    with Store.open(f"sqlite:///{file}") as store:
        for name in (SOUND, DAMAGED):
            _fill(store, name, folder / name)
        setting = Setting(channels=1, image_size=8, classes=10, processor="p", device="cpu",
                          threads=1, runtime="r")  # fmt: skip
        store.keep_cost(setting, Shape(student="s", pruning="p", quantization="q"), COST)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
    return file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETORT_STORE", raising=False)
    return tmp_path


def _edit(made: Path, *statements: str) -> None:
    """A fresh copy of the store in the current folder, edited by hand."""
    shutil.copy(made, "retort.db")
    with closing(sqlite3.connect("retort.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            raw.execute(statement)


def _ask(*arguments: str) -> Result:
    """A command's result; what it raises must be for the person's eyes."""
    result = CliRunner().invoke(app, arguments)
    raised = result.exception
    if raised is not None and not isinstance(raised, RetortError | SystemExit):
        raise AssertionError(f"{arguments}: {raised!r}") from raised
    return result


def _check_damaged(result: Result, place: str) -> None:
    """The command ended with one line that names the study, the place and what to type."""
    assert isinstance(result.exception, DamagedRow)
    message = str(result.exception)
    assert place in message
    assert DAMAGED in message or "(row 2)" in message
    assert f"retort db check --store sqlite:///{Path.cwd() / 'retort.db'}" in message
    assert message.isprintable()


def test_all() -> None:
    pass
