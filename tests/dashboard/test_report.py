"""The report: one file, whole, safe, and of the same frontier as everything else."""

import json
import re
from functools import partial
from html import escape
from pathlib import Path

import pytest

from dashboard.report.document import ReportData, report
from search.analysis.pareto import frontier
from search.analysis.ranking import Ranking
from search.errors import NoStudentFits
from search.objectives.budget import stored_budget
from search.objectives.goal import DEFAULT_GOAL
from search.records import TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore
from tests.dashboard.made_studies import add_study

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def material(url: str, name: str = "digits") -> ReportData:
    with Store.open(url, read_only=True) as store:
        return ReportData(
            study=store.study(name), trials=store.trials(name), done=store.training_done(name)
        )


def body(text: str) -> str:
    """The document without plotly's own script, which holds all sorts of text."""
    start = text.index("<body>")
    return text[start : text.index("<script>/**", start)]


def test_the_frontier_that_it_lists_is_that_of_the_search(make_store: MakeStore) -> None:
    made = material(make_store(add_study))
    table = body(report(made)).partition("<h2>The frontier")[2].partition("</table>")[0]
    listed = re.findall(r'<tr><td class="number">(\d+)</td>', table)
    assert {int(number) for number in listed} == {
        trial.number for trial in frontier(made.trials, DEFAULT_GOAL)
    }


def test_nothing_in_it_is_fetched(make_store: MakeStore) -> None:
    text = report(material(make_store(add_study)))
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", body(text))
    assert "Plotly.react" in text


def test_its_figures_are_json(make_store: MakeStore) -> None:
    text = body(report(material(make_store(add_study))))
    figures = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert len(figures) >= 6
    assert all(json.loads(figure)["data"] for figure in figures)


@pytest.mark.parametrize("only", [None, *TrialState])
def test_a_study_in_any_state_has_a_report(make_store: MakeStore, only: TrialState | None) -> None:
    if only in (TrialState.RUNNING, TrialState.INTERRUPTED):
        fill = partial(add_study, trials=0, running=2)
    else:
        fill = partial(add_study, trials=13, only=only)
    assert "<h1>digits</h1>" in report(material(make_store(fill)))


def test_a_study_whose_process_is_gone_is_said_to_be_interrupted(make_store: MakeStore) -> None:
    def fill(store: Store) -> None:
        store.create_study("digits", config={}, artifacts="artifacts")

    text = report(material(make_store(fill)))
    assert re.search(r'<p class="quiet">interrupted · started', text)


def test_a_study_without_trials_says_so(make_store: MakeStore) -> None:
    assert "No trial has started yet." in report(material(make_store(partial(add_study, trials=0))))


def test_what_others_named_is_text_and_nothing_else(make_store: MakeStore) -> None:
    def fill(store: Store) -> None:
        add_study(store, EVIL, trials=30, model=EVIL, message=f"\u202e{EVIL}")

    text = body(report(material(make_store(fill), EVIL)))
    assert "\u202e" not in text
    assert "\\u202e&lt;/script&gt;" in text
    assert "<img" not in text
    assert "<script>alert" not in text
    assert "&lt;img" in text
    assert text.count("<script") == text.count("</script>")


def test_where_nothing_fits_the_reason_is_that_of_the_search(make_store: MakeStore) -> None:
    made = material(make_store(partial(add_study, trials=13, only=TrialState.INFEASIBLE)))
    with pytest.raises(NoStudentFits) as found:
        Ranking(made.trials, DEFAULT_GOAL).chosen(stored_budget(made.study.config))
    assert escape(str(found.value)) in body(report(made))


def test_the_command_writes_the_same_report(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from search.cli.app import app

    monkeypatch.chdir(tmp_path)
    url = make_store(add_study)
    result = CliRunner().invoke(app, ["report", "--store", url], catch_exceptions=False)
    assert "the report of digits is in digits.html" in result.stdout
    assert (tmp_path / "digits.html").read_text() == report(material(url))
