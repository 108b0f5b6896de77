"""Finalists and refits on the pages, in the figures and in the report."""

from dashboard.charts.legend import legend
from dashboard.charts.measures import limit_measure, objective_measures
from dashboard.frames import searched, trial_frame
from dashboard.report.document import report
from search.analysis.finals import of_kind
from search.analysis.ranking import Ranking
from search.objectives.budget import stored_budget
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.limits import SIZE
from search.records import TrialKind, TrialRecord
from search.storage.storage import Store
from tests.dashboard.charts.test_cloud import numbers, picture, traces
from tests.dashboard.conftest import MakeStore, RunApp, said
from tests.dashboard.made_studies import add_finalists
from tests.dashboard.test_report import body, material


def _trials(url: str) -> tuple[list[TrialRecord], TrialRecord]:
    with Store.open(url, read_only=True) as store:
        record, trials = store.study("digits"), store.trials("digits")
    chosen = Ranking(trials, DEFAULT_GOAL).best(stored_budget(record.config))
    assert chosen is not None
    return trials, chosen


def test_finalists_are_diamonds_and_a_refit_is_not_drawn(make_store: MakeStore) -> None:
    trials, _ = _trials(make_store(add_finalists))
    frame = trial_frame(trials)
    drawn = traces(picture(frame, limit_measure(SIZE), limits={}, teacher=None))
    finals = {trial.number for trial in of_kind(trials, TrialKind.FINAL)}
    (refit,) = of_kind(trials, TrialKind.REFIT)
    on_frontier = drawn["Frontier"]
    assert numbers(on_frontier) & finals
    for point, symbol in zip(on_frontier.customdata, on_frontier.marker.symbol, strict=True):
        assert (symbol == "diamond") == (point[0] in finals)
        assert ("finalist" in point[1]) == (point[0] in finals)
    assert not any(
        refit.number in numbers(trace) for trace in drawn.values() if trace.customdata is not None
    )
    names = [one.name for one in legend(frame, objective_measures(DEFAULT_GOAL), has_teacher=False)]
    assert "Finalist" in names
    assert set(searched(frame)["kind"]) == {"search"}


def test_the_refit_of_the_best_finalist_is_to_be_taken(
    make_store: MakeStore, run_app: RunApp
) -> None:
    url = make_store(add_finalists)
    trials, chosen = _trials(url)
    (refit,) = of_kind(trials, TrialKind.REFIT)
    assert chosen.kind is TrialKind.FINAL
    text = said(run_app(url, "frontier"))
    assert f"Take trial {refit.number}" in text
    assert f"export {refit.number} " in text
    assert "mean" in text


def test_the_page_of_a_finalist_and_of_a_refit_tell_what_they_are(
    make_store: MakeStore, run_app: RunApp
) -> None:
    url = make_store(add_finalists)
    trials, chosen = _trials(url)
    (refit,) = of_kind(trials, TrialKind.REFIT)
    text = said(run_app(url, "trial", trial=str(chosen.number)))
    assert f"the recipe of trial {chosen.repeats}, trained for 40 epochs" in text
    assert "of 2 seeds" in text
    text = said(run_app(url, "trial", trial=str(refit.number)))
    assert "training and validation images together" in text
    assert "--as-study" not in text


def test_the_trials_can_be_filtered_by_kind(make_store: MakeStore, run_app: RunApp) -> None:
    url = make_store(add_finalists)
    app = run_app(url, "trials", kind="final")
    assert not app.exception
    shown = app.dataframe[0].value
    assert set(shown["kind"]) == {"final"}
    assert len(shown) == 4


def test_the_report_lists_finalists_and_the_test_figures_of_the_refit(
    make_store: MakeStore,
) -> None:
    made = material(make_store(add_finalists))
    text = body(report(made))
    table = text.partition("<h2>Finalists")[2].partition("</table>")[0]
    assert table.count("<tr>") == 1 + 4 + 1
    assert "refit of trial" in table
    assert "97.00%" in text.partition("<h2>The recommended")[2].partition("</ul>")[0]
