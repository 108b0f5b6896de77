"""The frontier page over stores in every state: a message or a picture, never a traceback."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from search.records import TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore, RunApp, plots, said
from tests.dashboard.made_studies import add_study


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_fault_26_a_missing_store_is_said_in_words(run_app: RunApp, tmp_path: Path) -> None:
    app = run_app(f"sqlite:///{tmp_path / 'none.db'}")
    assert not app.exception
    assert "The store can't be read." in said(app)
    assert not (tmp_path / "none.db").exists()


def test_a_store_without_a_study_says_how_to_start_one(
    run_app: RunApp, make_store: MakeStore
) -> None:
    app = run_app(make_store())
    assert not app.exception
    assert "retort run study.yaml" in said(app)


def test_fault_26_a_file_that_is_no_store_is_said_in_words(run_app: RunApp, tmp_path: Path) -> None:
    (tmp_path / "retort.db").write_text("not a database, but long enough to look like one" * 40)
    app = run_app(f"sqlite:///{tmp_path / 'retort.db'}")
    assert not app.exception
    assert "is not a SQLite database" in said(app)


def test_fault_26_a_locked_store_is_said_in_words(
    run_app: RunApp, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.queries._PATIENCE_S", 0.1)
    url = make_store(add_study)
    with closing(sqlite3.connect(file_of(url), isolation_level=None)) as other:
        # Out of WAL, so that a writer shuts readers out.
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        app = run_app(url)
    assert not app.exception
    assert "locked" in said(app)


@pytest.mark.parametrize("bound", ["0.5", "1e-9", "-1", "many"])
def test_fault_26_a_link_with_a_bound_that_is_none_shows_the_page(
    run_app: RunApp, make_store: MakeStore, bound: str
) -> None:
    app = run_app(make_store(add_study), size=bound, macs=bound, parameters=bound, latency=bound)
    assert not app.exception
    assert plots(app)


def test_fault_26_a_newer_store_is_said_in_words(run_app: RunApp, make_store: MakeStore) -> None:
    url = make_store(add_study)
    with closing(sqlite3.connect(file_of(url))) as other, other:
        other.execute("UPDATE retort_schema SET version_num = 'r9999'")
    app = run_app(url)
    assert not app.exception
    assert "upgrade retort" in said(app)


def test_a_password_in_the_address_of_a_store_is_not_shown(run_app: RunApp) -> None:
    app = run_app("postgresql+psycopg://retort:hunter2@127.0.0.1:1/none")
    assert not app.exception
    assert "The store can't be read." in said(app)
    assert "hunter2" not in said(app)


def test_a_study_without_trials_says_so(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(partial(add_study, trials=0)))
    assert not app.exception
    assert "No trial has started yet." in said(app)


def test_a_study_whose_first_trials_run_says_so(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(partial(add_study, trials=0, running=2)))
    assert not app.exception
    assert "none has ended yet" in said(app)


def test_fault_17_where_nothing_fits_the_budget_the_nearest_miss_is_named(
    run_app: RunApp, make_store: MakeStore
) -> None:
    tight = {"size": "5KB"}
    infeasible = partial(add_study, trials=20, only=TrialState.INFEASIBLE, budget=tight)
    app = run_app(make_store(infeasible))
    assert not app.exception
    assert "no student of 20 trials fits the budget (size up to 5.00 KB)" in said(app)
    assert "is above 5.00 KB" in said(app)


def test_fault_17_where_all_trials_failed_the_table_is_pointed_at(
    run_app: RunApp, make_store: MakeStore
) -> None:
    free: dict[str, object] = {}
    app = run_app(make_store(partial(add_study, trials=5, only=TrialState.FAILED, budget=free)))
    assert not app.exception
    assert "none of 5 trials ended with a student" in said(app)
    assert len(app.dataframe[0].value) == 5


def test_one_trial_is_drawn(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(partial(add_study, trials=1, only=TrialState.COMPLETE)))
    assert not app.exception
    assert len(plots(app)) == 2
    assert "Fewer than two students were measured" in said(app)


def test_the_headline_shows_the_best_student_within_the_budget(
    run_app: RunApp, make_store: MakeStore
) -> None:
    url = make_store(add_study)
    app = run_app(url)
    with Store.open(url, read_only=True) as store:
        complete = store.trials("digits", states=[TrialState.COMPLETE])
    accuracy = max(
        t.outcome.quality["accuracy"].value for t in complete if t.outcome and t.outcome.quality
    )
    assert not app.exception
    assert app.metric[0].value.startswith(f"{accuracy:.1%} ± ")


def test_the_study_that_changed_last_is_shown_first(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(partial(add_study, name="old"), partial(add_study, name="new")))
    assert app.selectbox[0].value == "new"
    assert app.selectbox[0].options == ["new", "old"]


def test_a_link_opens_its_study_and_trial(run_app: RunApp, make_store: MakeStore) -> None:
    url = make_store(partial(add_study, name="old"), partial(add_study, name="new"))
    app = run_app(url, study="old", trial="7")
    assert not app.exception
    assert app.selectbox[0].value == "old"
    assert "Trial 7 :" in said(app)
    assert app.query_params == {"study": "old", "trial": "7"}


def test_another_study_forgets_the_trial_of_the_first(
    run_app: RunApp, make_store: MakeStore
) -> None:
    url = make_store(partial(add_study, name="old"), partial(add_study, name="new"))
    app = run_app(url, study="old", trial="7")
    app.selectbox[0].select("new").run()
    assert not app.exception
    assert "Trial 7 :" not in said(app)


@pytest.mark.parametrize(
    "name", ["gone", "<script>alert(1)</script>", "x" * 100_000, "", "**[a](javascript:1)**", "\0"]
)
def test_fault_26_a_link_to_an_unknown_study_says_so_and_shows_another(
    run_app: RunApp, make_store: MakeStore, name: str
) -> None:
    app = run_app(make_store(add_study), study=name)
    assert not app.exception
    assert "no study of the name in the address" in said(app)
    assert len(said(app)) < 5_000
    assert not any(name in str(element.value) for element in app.markdown if name)


@pytest.mark.parametrize(
    "number", ["9999", "-1", "1.5", "nan", "1e400", "<script>", "9" * 100_000, "", "\0"]
)
def test_a_link_to_an_unknown_trial_selects_none(
    run_app: RunApp, make_store: MakeStore, number: str
) -> None:
    app = run_app(make_store(add_study), trial=number)
    assert not app.exception
    assert "The value of trial in the address is not valid here" in said(app)
    assert "Click a point or a row" in said(app)
    assert len(said(app)) < 5_000


def test_a_complete_trial_shows_the_command_that_exports_it(
    run_app: RunApp, make_store: MakeStore
) -> None:
    complete = partial(add_study, trials=3, only=TrialState.COMPLETE)
    app = run_app(make_store(complete), trial="2")
    assert "retort export 2 --study digits --store sqlite:///" in said(app)


def test_a_failed_trial_shows_its_error(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(add_study), trial="7")
    assert "non_finite: the loss became NaN in epoch 3" in said(app)


def test_frontier_only_leaves_the_frontier_in_the_table(
    run_app: RunApp, make_store: MakeStore
) -> None:
    app = run_app(make_store(add_study))
    app.button_group(key="frontier.rows").set_value("frontier").run()
    assert not app.exception
    shown = app.dataframe[0].value
    assert 0 < len(shown) < 60
    assert set(shown["on_frontier"]) == {"●"}


def test_the_state_filter_leaves_trials_of_that_state(
    run_app: RunApp, make_store: MakeStore
) -> None:
    app = run_app(make_store(add_study))
    app.button_group(key="frontier.states").set_value(["failed"]).run()
    assert not app.exception
    assert set(app.dataframe[0].value["state"]) == {"failed"}


def test_a_finished_trial_appears_in_the_next_run(run_app: RunApp, make_store: MakeStore) -> None:
    url = make_store(partial(add_study, trials=2, running=1))
    app = run_app(url)
    with Store.open(url) as store:
        store.start_trial("digits", params={"student": "timm"}, seed=0)
    app.run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 4
