"""The dashboard and the report of a study whose budget has floors."""

from dataclasses import replace

import pandas as pd

from dashboard.charts.drawn import within
from dashboard.frames import trial_frame
from dashboard.report.document import ReportData, report
from search.objectives.budget import Budget, stored_budget
from search.objectives.goal import DEFAULT_GOAL
from search.records import Measurement, Outcome, TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore, RunApp, plots, said
from tests.dashboard.made_studies import TEACHER
from tests.measured import cost, quality
from tests.messages import naming

FLOORS = {"size": "600KB", "recall": {"stop": 0.98}, "metrics": {"agreement": 0.5}}
RECALLS = ((0.99, 0.90), (0.95, 0.97), (0.5, 0.99))
PARAMS = {"student": "timm", "student.timm.model": "test_resnet", "pruning": "none"}


def _outcome(recall: float, accuracy: float) -> Outcome:
    budget = Budget.model_validate(FLOORS)
    costs = cost(size_bytes=200_000, parameters=1000, macs=1000, latency_ms=0.5)
    found = {
        **quality(accuracy=accuracy, agreement=0.9),
        "recall.stop": Measurement(recall, 0.01),
    }
    return Outcome(
        state=TrialState.COMPLETE,
        cost=costs,
        quality=found,
        violations=budget.violations(costs, found),
        reason=budget.explain(costs, found) or None,
    )


def add_signs(store: Store) -> None:
    """Adds a study of three students, of which only the least accurate one meets the floors."""
    store.create_study("signs", config={"study": "signs", "budget": FLOORS}, artifacts="/none")
    store.record_teacher("signs", replace(TEACHER, quality=_outcome(0.999, 0.983).quality))
    for recall, accuracy in RECALLS:
        number = store.start_trial("signs", params=PARAMS, seed=0)
        store.finish_trial("signs", number, _outcome(recall, accuracy))


def add_hopeless(store: Store) -> None:
    """Adds a study of which no student meets the floors."""
    store.create_study("signs", config={"study": "signs", "budget": FLOORS}, artifacts="/none")
    number = store.start_trial("signs", params=PARAMS, seed=0)
    store.finish_trial("signs", number, _outcome(0.95, 0.97))


def test_a_slider_starts_at_the_floor_and_the_choice_meets_it(
    run_app: RunApp, make_store: MakeStore
) -> None:
    app = run_app(make_store(add_signs))
    assert not app.exception
    sliders = {slider.label: slider.value for slider in app.slider}
    assert sliders["Recall of stop, at least"] == 98.0
    assert sliders["Agreement with the teacher, at least"] == 50.0
    assert naming("Take trial 0", "recall of stop at least 98.00%").search(said(app))
    measures = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert measures["Recall of stop"] == ("99.0%", "meets the floor, 98.0%")
    assert plots(app)


def test_a_lower_floor_of_the_address_admits_another_student(
    run_app: RunApp, make_store: MakeStore
) -> None:
    url = make_store(add_signs)
    app = run_app(url, **{"floor.recall.stop": "94"})
    assert not app.exception
    assert naming("Take trial 1", "recall of stop at least 94.00%").search(said(app))
    without = run_app(url, **{"floor.recall.stop": "0"})
    assert naming("Take trial 2").search(said(without))
    assert "recall of stop at least" not in said(without)


def test_where_none_meets_them_the_nearest_is_named(run_app: RunApp, make_store: MakeStore) -> None:
    app = run_app(make_store(add_hopeless))
    assert not app.exception
    assert naming("trial 0", "recall of stop 95.00% is below 98.00%").search(said(app))


def test_the_card_of_a_trial_says_that_it_is_over_the_budget(
    run_app: RunApp, make_store: MakeStore
) -> None:
    url = make_store(add_signs)
    app = run_app(url, "trial", trial="1")
    assert not app.exception
    assert "over budget" in said(app)
    assert naming("breaks the floors", "recall of stop 95.00%").search(said(app))
    measures = {metric.label: metric.delta for metric in app.metric}
    assert measures["Recall of stop"] == "breaks the floor, 98.0%"
    assert "over budget" not in said(run_app(url, "trial", trial="0"))


def test_the_table_of_trials_has_a_column_of_the_recall(
    run_app: RunApp, make_store: MakeStore
) -> None:
    app = run_app(make_store(add_signs), "trials", columns="number,recall.stop,test_recall.stop")
    assert not app.exception
    (table,) = (frame.value for frame in app.dataframe if "recall.stop" in frame.value)
    assert list(table["recall.stop"]) == [99.0, 95.0, 50.0]
    assert list(table.columns) == ["number", "recall.stop", "test_recall.stop"]


def test_the_frame_marks_who_is_on_the_frontier_and_who_keeps_a_bound(
    make_store: MakeStore,
) -> None:
    with Store.open(make_store(add_signs), read_only=True) as store:
        frame = trial_frame(store.trials("signs"), DEFAULT_GOAL)
    assert list(frame["on_frontier"]) == [True, False, False]
    assert frame["recall.stop"].dtype == "float64"
    kept = within(frame, {"recall.stop": 0.9, "size_bytes": 300_000})
    pd.testing.assert_series_equal(kept, pd.Series([True, True, False]), check_names=False)


def test_the_report_lists_the_floors_beside_the_frontier(make_store: MakeStore) -> None:
    with Store.open(make_store(add_signs), read_only=True) as store:
        study = store.study("signs")
        made = ReportData(study=study, trials=store.trials("signs"), done={})
    text = report(made)
    assert str(stored_budget(study.config)) in text
    assert "recall of stop at least 98.00% (floor)" in text
    assert "99.00% ± 1.96%" in text
