"""A store that was edited by hand, one value at a time: named by `db check`, one line elsewhere."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import JSON, Column, Float, Integer, create_engine
from typer.testing import CliRunner, Result

from search.cli.app import app
from search.errors import DamagedRow, RetortError, StoreError
from search.records import CostSetting, EpochRecord, Shape, StudyState
from search.run import resume_study, run_study
from search.storage.columns import Flag, UtcTime
from search.storage.leases import this_process
from search.storage.storage import Store
from search.storage.tables import Table
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.search.cli.made_outcomes import COMPLETE, COST, FAILED, INFEASIBLE, PARAMS, TEACHER

DAMAGED, SOUND = "damaged", "sound"
# As SQL: what an editor of SQLite files takes in a column, though it is no value of it.
_TEXTS = ("x'ff00'", "CAST(x'ff' AS TEXT)")
_NUMBERS = ("'much'", "x'00'", "9e999", "-1", "1e300")
_COUNTS = ("'many'", "x'00'", "2.5", "-1", "1e300")
_TIMES = ("'yesterday'", "5", "x'00'", "'9999-12-31 23:59:59.999999'")
_OBJECTS = (
    *("'{'", "''", "'null'", "'[]'", "'5'", "5", "x'7b7d'", "CAST(x'7bff7d' AS TEXT)"),
    *(
        """'{"a": Infinity}'""",
        """'{"a": 1e999}'""",
        """'{"a": [NaN]}'""",
        """'{"a": "\\ud800"}'""",
    ),
    f"'{'[' * 9000}'",
)
_QUALITIES = (
    """'{"accuracy": 0.5}'""",
    """'{"accuracy": {"value": 2.5, "error": null}}'""",
    """'{"accuracy": {"value": "much", "error": null}}'""",
    """'{"accuracy": {"value": 0.5, "error": -1}}'""",
    """'{"accuracy": {"value": 0.5}}'""",
)
_COSTS = (
    """'{"size_bytes": -1}'""",
    """'{"size_bytes": 1e300}'""",
    """'{"size_bytes": "much"}'""",
    """'{"size_bytes": null}'""",
)
_BY_NAME = {
    "state": ("'flying'", "x'00'"),
    "name": ("x'00'", "CAST(x'ff' AS TEXT)"),
    "artifacts": ("''", "'~no-such-person/x'", "x'00'"),
    "artifact_path": ("'/etc'", "'../../elsewhere'", "''", "x'00'"),
    "config": (
        *_OBJECTS, """'{"budget": {"size": "much"}}'""", """'{"budget": 5}'""", """'{"run": []}'""",
        """'{"budget": {"latency": -1}}'""",
    ),
    "quality": (*_OBJECTS, *_QUALITIES),
    # JSON's null is the absence of a test, as SQL's is.
    "test": tuple(one for one in (*_OBJECTS, *_QUALITIES) if one != "'null'"),
    "cost": (*_OBJECTS, *_COSTS),
    "score": ("'much'", "x'00'", "9e999"),
    "loss": ("'much'", "x'00'", "-9e999"),
    "seed": ("'many'", "2.5"),
}  # fmt: skip
SETTING = CostSetting(
    channels=1, image_size=8, classes=10, processor="p", device="cpu", threads=1, runtime="r"
)
SHAPE = Shape(student="s", pruning="p", quantization="q")
Edit = Callable[..., Path]
ROWS = {
    "studies": "id = 2",
    **dict.fromkeys(("holds", "teachers"), "study_id = 2"),
    "trials": "id = 4",
    **dict.fromkeys(("stages", "epochs"), "trial_id = 4"),
    "costs": "id = 1",
}
"""The row that is edited."""
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
    store.create_study(name, config=config, artifacts=str(artifacts), lease=this_process())
    store.record_teacher(name, TEACHER)
    epochs = (EpochRecord(stage="distil", epoch=0, loss=1.5, score=0.5, learning_rate=0.01),)
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
        store.keep_cost(SETTING, SHAPE, COST)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
    return file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no store named in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETORT_STORE", raising=False)
    return tmp_path


@pytest.fixture
def edit(made: Path, home: Path) -> Edit:
    """Puts a copy of the store into the current folder, with these changes made by hand."""

    def change(*statements: str) -> Path:
        file = home / "retort.db"
        shutil.copy(made, file)
        with _by_hand(file) as raw:
            for statement in statements:
                raw.execute(statement)
        return file

    return change


@contextmanager
def _by_hand(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        for pragma in ("ignore_check_constraints = ON", "synchronous = OFF"):
            raw.execute(f"PRAGMA {pragma}")
        yield raw


def _ask(*arguments: str) -> Result:
    """A command's result; a traceback fails the test."""
    result = CliRunner().invoke(app, arguments)
    raised = result.exception
    if raised is not None and not isinstance(raised, RetortError | SystemExit):
        raise AssertionError(f"{arguments}: {raised!r}") from raised
    return result


def _read_all(store: Store, study: str) -> None:
    """All that commands and pages ask of a study."""
    store.trials(study)
    store.trials(study, whole=True)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda part: getattr(part, "name", part))
def test_fault_37_a_damaged_value_is_named_and_never_read(
    edit: Edit, table: str, column: Column[object]
) -> None:
    file, name = edit(), column.name
    change, row = f"UPDATE {table} SET {name}", f"WHERE {ROWS[table]}"  # noqa: S608
    is_named = (table, name) != ("studies", "name")
    with Store.open(f"sqlite:///{file}", read_only=True) as store, _by_hand(file) as raw:
        raw.execute(f"CREATE TEMP TABLE kept AS SELECT {name} FROM {table} {row}")  # noqa: S608
        for damage in _damages(column):
            raw.execute(f"{change} = {damage} {row}")
            (found, *_) = store.damages()
            assert found.column == f"{table}.{name}", damage
            assert str(found).isprintable()
            if table != "costs" and is_named:
                assert found.study == DAMAGED
                with pytest.raises(DamagedRow, match=rf"{DAMAGED}.*{table}\.{name}"):
                    _read_all(store, DAMAGED)
        _read_all(store, SOUND)
        assert store.costs(SETTING) == ({} if table == "costs" else {SHAPE: COST})
        raw.execute(f"{change} = (SELECT * FROM kept) {row}")  # noqa: S608
        assert store.damages() == []


PARTS = {
    "studies": ("config = 'null'", "studies.config of study damaged"),
    "teachers": ("quality = '{}{'", "teachers.quality of the teacher"),
    "holds": ("since = 'long ago'", "holds.since of the lease"),
    "trials": ("params = '[1'", "trials.params of trial 0"),
    "stages": ("seconds = 'few'", "stages.seconds of stage 0 of trial 0"),
    "epochs": ("loss = 9e999", "epochs.loss of epoch 0 of trial 0"),
}
COMMANDS = (
    ("trials", "--study", DAMAGED),
    ("show", "0", "--study", DAMAGED),
    ("best", "--study", DAMAGED),
    ("export", DAMAGED, "0", "-o", "student"),
    ("report", "--study", DAMAGED),
    ("dashboard", "--study", DAMAGED),
    ("stop", DAMAGED),
    ("resume", DAMAGED),
)
OF_THE_STUDY = {"studies", "teachers", "holds"}
"""Tables that every command reads of a study; a trial's are read where its trials are."""
READ_BY = {
    "trials": {"trials", "show", "best", "export", "report"},
    "stages": {"show", "export"},
    "epochs": {"show", "export"},
}


@pytest.mark.parametrize("table", PARTS)
def test_fault_37_commands_say_one_line_and_go_on_for_others(edit: Edit, table: str) -> None:
    change, place = PARTS[table]
    file = edit(f"UPDATE {table} SET {change} WHERE {ROWS[table]}")  # noqa: S608
    checked = _ask("db", "check")
    assert checked.exit_code == 1
    assert place in checked.output
    for command in COMMANDS:
        if table in OF_THE_STUDY or command[0] in READ_BY[table]:
            raised = _ask(*command).exception
            assert isinstance(raised, DamagedRow)
            message = str(raised)
            assert DAMAGED in message
            assert place in message
            assert f"retort db check --store sqlite:///{file}" in message
            assert message.isprintable()
    status = _ask("status")
    is_light = table in ("stages", "epochs")
    assert status.exit_code == (0 if is_light else 1)
    assert SOUND in status.output
    assert is_light or place in " ".join(status.output.split())
    for command in (("trials", "--study", SOUND), ("best", "--study", SOUND), ("db", "upgrade"),
                    ("db", "backup", "-o", "copy.db"), ("report", "--study", SOUND)):  # fmt: skip
        assert _ask(*command).exit_code == 0


@pytest.mark.parametrize(
    "change", ["""cost = '{"latency_ms": 1e300}'""", """params = '{"ratio": 1e999}'"""]
)
def test_fault_37_what_every_database_can_hold_is_named(
    store: Store, store_url: str, change: str
) -> None:
    number = store.start_trial("digits", params=PARAMS, seed=0)
    store.finish_trial("digits", number, COMPLETE)
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE trials SET {change}")  # noqa: S608
    engine.dispose()
    (found,) = store.damages()
    assert found.column == f"trials.{change.partition(' ')[0]}"
    with pytest.raises(DamagedRow, match=rf"study digits .*{found.column}.*`retort db check"):
        store.trials("digits")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("DELETE FROM trials WHERE study_id = 2 AND number = 1", "trials.number of trial 2"),
        ("UPDATE trials SET number = 9 WHERE study_id = 2 AND number = 2", "of trial 9"),
        ("UPDATE trials SET parent = 7 WHERE study_id = 2 AND number = 1", "trials.parent"),
        ("UPDATE trials SET quality = NULL WHERE study_id = 2 AND number = 0", "trials.quality"),
        ("UPDATE trials SET finished_at = NULL WHERE study_id = 2 AND number = 0", "finished_at"),
    ],
)
def test_fault_37_rows_that_do_not_fit_together_are_named(
    edit: Edit, change: str, place: str
) -> None:
    edit(change)
    assert place in _ask("db", "check").output
    raised = _ask("best", "--study", DAMAGED).exception
    assert isinstance(raised, DamagedRow)
    assert place in str(raised)


def test_fault_37_a_recipe_without_methods_is_named(edit: Edit) -> None:
    edit("UPDATE trials SET params = '{}' WHERE study_id = 2 AND number = 0")
    assert "trials.params of trial 0" in _ask("db", "check").output
    assert _ask("trials", "--study", DAMAGED).exit_code == 0


def test_fault_37_a_row_that_belongs_to_nothing_is_named(edit: Edit) -> None:
    edit("UPDATE trials SET study_id = 77 WHERE study_id = 2 AND number = 2")
    assert "row 6 of trials" in _ask("db", "check").output


@pytest.mark.parametrize("change", ["INSERT INTO retort_schema VALUES ('0005')",
                                    "DELETE FROM retort_schema",
                                    "UPDATE retort_schema SET version_num = x'00'"])  # fmt: skip
def test_fault_37_a_store_without_one_schema_is_refused(edit: Edit, change: str) -> None:
    edit(change)
    for command in (("db", "check"), ("status",), ("db", "upgrade")):
        raised = _ask(*command).exception
        assert isinstance(raised, StoreError)
        assert "retort_schema" in str(raised)


def test_fault_37_the_study_that_changed_last_is_named_where_none_is(edit: Edit) -> None:
    edit("UPDATE studies SET changed_at = 'tomorrow' WHERE name = 'damaged'")
    raised = _ask("trials").exception
    assert isinstance(raised, DamagedRow)
    assert raised.study == DAMAGED


@pytest.fixture(scope="module")
def searched(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of one real trial, whose row was edited by hand when it had ended."""
    folder = tmp_path_factory.mktemp("searched")
    study = study_of(folder, stripes_file, search={"trials": 1})
    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
    with _by_hand(folder / "retort.db") as raw:
        raw.execute("""UPDATE trials SET cost = '{"latency_ms": 1e300}'""")
    return folder


def test_fault_37_a_damaged_study_is_not_resumed(searched: Path, stripes_file: Path) -> None:
    study = study_of(searched, stripes_file, search={"trials": 2})
    with one_after_another(), Store.open(study.run.storage) as store:
        with pytest.raises(DamagedRow, match=r"trials\.cost of trial 0"):
            resume_study(study, store, TrialRecorder())
        assert store.study("stripes").lease is None
        assert store.study("stripes").state is StudyState.FINISHED


def test_fault_37_a_damaged_study_teaches_no_other(searched: Path, stripes_file: Path) -> None:
    warm = {"trials": 1, "warm_start": ["stripes"]}
    study = study_of(searched, stripes_file, search=warm).model_copy(update={"study": "new"})
    with one_after_another(), Store.open(study.run.storage) as store:
        with pytest.raises(DamagedRow, match=r"study stripes .* trials\.cost of trial 0"):
            run_study(study, store, TrialRecorder())
        cold = study_of(searched, stripes_file, search={"trials": 1})
        run_study(cold.model_copy(update={"study": "new"}), store, TrialRecorder())
        assert len(store.trials("new")) == 1
