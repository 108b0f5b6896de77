"""Every page over stores in every state: something to read, and never a traceback."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from dashboard.frames import recipe_in_words, trial_frame
from dashboard.views.trials import as_csv, as_json
from search.analysis.ranking import Ranking
from search.analysis.recommend import advise
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL
from search.records import StudyState, TrialState
from search.storage.leases import this_process
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore, RunApp, plots, said
from tests.dashboard.made_studies import add_finalists, add_study
from tests.messages import naming

VIEWS = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "dashboard/views").glob("*.py")
    if path.stem != "__init__"
)
EVIL = "<script>alert(1)</script>"
STATES: Mapping[str, tuple[Callable[[Store], object], ...]] = {
    "no study": (),
    "no trial": (partial(add_study, trials=0),),
    "running": (partial(add_study, trials=20, running=2),),
    "only running": (partial(add_study, trials=0, running=2),),
    "all infeasible": (partial(add_study, trials=9, only=TrialState.INFEASIBLE),),
    "all failed": (partial(add_study, trials=9, only=TrialState.FAILED),),
    "all stopped": (partial(add_study, trials=9, only=TrialState.STOPPED),),
    "one trial": (partial(add_study, trials=1, only=TrialState.COMPLETE),),
    "no budget": (partial(add_study, trials=20, budget={}),),
    "several studies": (partial(add_study, name="old"), partial(add_study, name="new", trials=5)),
    "finalists": (add_finalists,),
    "strange names": (partial(add_study, model=EVIL, message=EVIL),),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The URL of a store in the state of that name; it is made once."""
    made: dict[str, str] = {}

    def find(state: str) -> str:
        if state not in made:
            url = f"sqlite:///{tmp_path_factory.mktemp('stores') / 'retort.db'}"
            with Store.open(url) as store:
                for fill in STATES[state]:
                    fill(store)
            made[state] = url
        return made[state]

    return find


def test_the_pages_are_those_of_the_issue() -> None:
    assert VIEWS == ["compare", "frontier", "influence", "report", "studies", "trial", "trials"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_says_something_whatever_the_store_holds(
    run_app: RunApp, stores: Callable[[str], str], view: str, state: str
) -> None:
    app = run_app(stores(state), view)
    assert not app.exception
    assert not app.error or state in ("all failed", "strange names")
    # More than a title: a blank page has no word but that.
    assert len(said(app)) > 60 or app.dataframe


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_says_what_is_prepared_and_why_a_run_failed(
    make_store: MakeStore, run_app: RunApp, view: str
) -> None:
    doing, why = "training the teacher: epoch 3 of 20", "data.path must be readable"

    def prepare(store: Store) -> None:
        lease = this_process()
        store.create_study("new", config={}, artifacts="a", lease=lease, activity=doing)

    def fail(store: Store) -> None:
        store.set_study_state("new", StudyState.FAILED, failure=why)

    app = run_app(make_store(prepare), page=view)
    assert not app.exception
    assert doing in said(app)
    app = run_app(make_store(fail), page=view)
    assert not app.exception
    assert why in said(app)


@pytest.mark.parametrize("view", VIEWS)
def test_fault_37_a_page_names_a_damaged_study_and_shows_the_others(
    run_app: RunApp, make_store: MakeStore, view: str
) -> None:
    fill = (partial(add_study, name=name, trials=4) for name in ("sound", "damaged"))
    url = make_store(*fill)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("UPDATE trials SET params = '[' WHERE study_id = 2 AND number = 3")
    app = run_app(url, view, study="damaged")
    assert not app.exception
    assert "trials.params of trial 3" in said(app)
    if view == "studies":
        assert [found.value for found in app.subheader] == ["sound"]
    else:
        app.selectbox[0].set_value("sound").run()
        assert not app.exception
        assert "damaged" not in said(app)


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_names_a_study_of_a_limit_that_is_not_installed_and_shows_the_others(
    run_app: RunApp, make_store: MakeStore, view: str
) -> None:
    url = make_store(
        partial(add_study, name="sound", trials=4),
        partial(add_study, name="foreign", trials=4, budget={"elegance": 3}),
    )
    app = run_app(url, view, study="foreign")
    assert not app.exception
    assert naming("foreign", "'elegance'").search(said(app))
    if view == "studies":
        assert [found.value for found in app.subheader] == ["sound"]
    else:
        app.selectbox[0].set_value("sound").run()
        assert not app.exception
        assert "elegance" not in said(app)


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_over_a_missing_store_says_so(run_app: RunApp, tmp_path: Path, view: str) -> None:
    app = run_app(f"sqlite:///{tmp_path / 'none.db'}", view)
    assert not app.exception
    assert "The store can't be read." in said(app)


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_whose_address_is_all_nonsense_says_so_and_shows_the_rest(
    run_app: RunApp, stores: Callable[[str], str], view: str
) -> None:
    names = (
        "study", "trial", "size", "latency", "parameters", "macs", "accuracy", "family", "pruning",
        "quantization", "states", "rows", "columns", "objective", "across", "up", "over",
    )  # fmt: skip
    for nonsense in ("1e400", f"{EVIL},{EVIL}", "\0", "-1", "x" * 5000):
        app = run_app(stores("several studies"), view, **dict.fromkeys(names, nonsense))
        assert not app.exception
        if view != "studies":
            assert "not valid here" in said(app) or "no study of the name" in said(app)
        assert EVIL not in "".join(str(element.value) for element in app.markdown)


class TestTheFrontierPage:
    def test_the_budget_of_the_address_chooses_another_student(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        url = stores("running")
        free, tight = (run_app(url, "frontier", **query) for query in ({}, {"size": "60000"}))
        chosen = [
            next(str(e.value) for e in app.markdown if "Take trial" in str(e.value))
            for app in (free, tight)
        ]
        assert chosen[0] != chosen[1]
        assert "size up to 60.0 KB" in said(run_app(url, "frontier", size="60000"))

    def test_a_slider_moves_the_choice_and_the_address(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"))
        slider = app.select_slider(key="frontier.size")
        assert slider.value == 600_000
        slider.set_value(100_000.0).run()
        assert not app.exception
        assert "size up to 100 KB" in said(app)
        assert app.query_params["size"] == "100000"

    def test_a_slider_of_a_counted_cost_has_whole_steps_alone(
        self, run_app: RunApp, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few = [{"parameters": 3.0}, {"parameters": 40.0}]
        url = make_store(partial(add_study, trials=2))
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw, raw:
            for number, cost in enumerate(few):
                changed = f"json_patch(cost, '{json.dumps(cost)}')"
                raw.execute(f"UPDATE trials SET cost = {changed} WHERE number = {number}")  # noqa: S608
        app = run_app(url)
        parameters = app.select_slider(key="frontier.parameters").options
        assert "3.00" not in parameters
        assert app.select_slider(key="frontier.latency").options != parameters

    def test_an_accuracy_that_none_reaches_is_answered_with_the_best(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), accuracy="99.9")
        assert naming("accuracy", "99.90%", "trial").search(said(app))

    def test_reset_goes_back_to_the_studys_budget(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), size="100000", accuracy="50")
        next(button for button in app.button if button.label == "Reset").click().run()
        assert app.select_slider(key="frontier.size").value == 600_000
        assert app.query_params == {"study": "digits"}

    def test_a_filter_of_the_address_leaves_its_trials(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("several studies"), study="old", quantization="int8_static")
        assert not app.exception
        assert set(app.dataframe[-1].value["quantization"]) == {"int8_static"}

    def test_a_marked_trial_stands_out_in_every_figure(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), trial="2,4")
        assert "2 trials are marked" in said(app)
        lines = plots(app)[-1]["data"][-1]
        assert {point[0] for point in lines["customdata"] if point} == {2, 4}

    def test_another_study_starts_from_its_own_budget(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("several studies"), study="old", size="100000", trial="3")
        app.selectbox(key="frontier.study").select("new").run()
        assert not app.exception
        assert app.query_params == {"study": "new"}
        assert app.select_slider(key="frontier.size").value == 600_000

    def test_the_student_to_take_is_named_by_its_recipe_beside_the_teacher(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        url = stores("running")
        with Store.open(url, read_only=True) as store:
            chosen = Ranking(store.trials("digits"), DEFAULT_GOAL).best(Budget())
        assert chosen is not None
        app = run_app(url)
        assert recipe_in_words(chosen.params) in [element.value for element in app.text]
        assert "teacher: 98.3%, 44.7 MB, 8.40 ms" in said(app)


class TestTheTrialPage:
    def test_a_trial_shows_its_curves_and_stages(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("one trial"), "trial", trial="0")
        assert len(plots(app)) == 2
        assert "retort show 0" in said(app)
        assert "--as-study" in said(app)
        assert "not on this machine" in said(app)

    def test_without_a_trial_in_the_address_the_best_is_shown(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        url = stores("running")
        with Store.open(url, read_only=True) as store:
            chosen = Ranking(store.trials("digits"), DEFAULT_GOAL).best(Budget())
        assert chosen is not None
        assert f"Trial {chosen.number} :green-badge" in said(run_app(url, "trial"))

    def test_a_failed_trial_shows_its_traceback(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("all failed"), "trial", trial="3")
        assert "Traceback (most recent call last)" in said(app)

    def test_a_running_trial_says_so(self, run_app: RunApp, stores: Callable[[str], str]) -> None:
        assert "still running" in said(run_app(stores("only running"), "trial", trial="1"))

    def test_the_next_trial_is_a_step_away(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), "trial", trial="3")
        app.number_input(key="trial.number").increment().run()
        assert "#### Trial 4" in said(app)
        assert app.query_params["trial"] == "4"


class TestTheTrialsPage:
    def test_states_and_choices_leave_their_trials(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), "trials", states="complete,failed", family="test_vit")
        shown = app.dataframe[0].value
        assert set(shown["state"]) <= {"complete", "failed"}
        assert set(shown["student"]) == {"test_vit"}

    def test_columns_are_chosen(self, run_app: RunApp, stores: Callable[[str], str]) -> None:
        names = "number,pruning.magnitude.ratio,macs"
        app = run_app(stores("running"), "trials", columns=names)
        assert list(app.dataframe[0].value.columns) == names.split(",")

    def test_csv_and_json_hold_what_is_shown(self, make_store: MakeStore) -> None:
        with Store.open(make_store(add_study), read_only=True) as store:
            frame = trial_frame(store.trials("digits"))
        rows = json.loads(as_json(frame))
        lines = list(csv.DictReader(io.StringIO(as_csv(frame).decode())))
        assert [row["number"] for row in rows] == [int(line["number"]) for line in lines]
        assert rows[7]["accuracy"] is None
        assert rows[0]["size_bytes"] == frame["size_bytes"].iloc[0]


class TestTheComparePage:
    def test_where_none_is_marked_the_best_and_the_runner_up_are_compared(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        url = stores("no budget")
        with Store.open(url, read_only=True) as store:
            advice = advise(store.trials("digits"), Budget(), DEFAULT_GOAL)
        assert advice is not None
        assert advice.runner_up is not None
        pair = [str(advice.chosen.number), str(advice.runner_up.number)]
        assert run_app(url, "compare").multiselect(key="compare.chosen").value == pair

    def test_where_no_student_was_made_those_that_ended_last_are_compared(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("all failed"), "compare")
        assert app.multiselect(key="compare.chosen").value == ["8", "7"]
        assert not app.exception

    def test_only_what_differs_is_listed(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), "compare", trial="0,2")
        listed = app.dataframe[0].value
        assert list(listed.columns) == ["", "Trial 0", "Trial 2"]
        assert (listed["Trial 0"] != listed["Trial 2"]).all()
        assert "magnitude ratio" in set(listed[""])
        assert "Training" not in set(listed[""])

    def test_a_number_that_is_no_trial_is_not_taken(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("running"), "compare", trial="0,2")
        app.multiselect(key="compare.chosen").set_value(["0", "2", "999999", "x", "9" * 50]).run()
        assert not app.exception
        assert app.query_params["trial"] == "0,2"


class TestTheStudiesPage:
    def test_every_study_is_listed_with_its_best_student(
        self, run_app: RunApp, stores: Callable[[str], str]
    ) -> None:
        app = run_app(stores("several studies"), "studies")
        assert [heading.value for heading in app.subheader] == ["new", "old"]
        assert "sqlite:///" in said(app)


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ten thousand trials, written through the store's own interface."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'retort.db'}"
    with Store.open(url) as store:
        add_study(store, trials=10_000, branches=99)
    return url


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_shows_ten_thousand_trials_and_draws_a_few_thousand(
    run_app: RunApp, large_store: str, view: str
) -> None:
    app = run_app(large_store, view)
    assert not app.exception
    for figure in plots(app):
        drawn = {
            point[0]
            for trace in figure["data"]
            for point in trace.get("customdata", [])
            if isinstance(point, list)
        }
        assert len(drawn) < 2_500
    if view in ("frontier", "trials"):
        assert len(app.dataframe[-1].value) == 10_000
