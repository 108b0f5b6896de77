"""The frontier and the best student are the same wherever a person asks for them."""

import json
import re

import pytest
from typer.testing import CliRunner

from dashboard.report.document import ReportData, report
from search.cli.app import app as command
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore, RunApp, plots, said
from tests.dashboard.made_studies import add_study


@pytest.fixture
def url(make_store: MakeStore) -> str:
    return make_store(add_study)


def asked(url: str, *words: str) -> list[dict[str, object]] | dict[str, object]:
    result = CliRunner().invoke(command, [*words, "--store", url], catch_exceptions=False)
    found: list[dict[str, object]] | dict[str, object] = json.loads(result.stdout)
    return found


def reported(url: str) -> str:
    with Store.open(url, read_only=True) as store:
        return report(
            ReportData(
                study=store.study("digits"),
                trials=store.trials("digits"),
                done=store.training_done("digits"),
            )
        )


def test_the_frontier_is_that_of_the_command_in_charts_table_and_report(
    url: str, run_app: RunApp
) -> None:
    rows = asked(url, "trials", "--frontier", "--format", "json")
    assert isinstance(rows, list)
    members = {row["trial"] for row in rows}
    app = run_app(url, rows="frontier")
    assert set(app.dataframe[-1].value["number"]) == members
    for figure in plots(app)[:2]:
        (trace,) = (trace for trace in figure["data"] if trace.get("name") == "Frontier")
        assert {point[0] for point in trace["customdata"]} == members
    table = reported(url).partition("<h2>The frontier")[2].partition("</table>")[0]
    assert {int(n) for n in re.findall(r'<tr><td class="number">(\d+)</td>', table)} == members


@pytest.mark.parametrize("size", [None, 60_000])
def test_the_best_student_is_that_of_the_command(
    url: str, run_app: RunApp, size: int | None
) -> None:
    words = ["best", "--json"] + ([] if size is None else ["--max-size", f"{size}B"])
    best = asked(url, *words)
    assert isinstance(best, dict)
    query = {} if size is None else {"size": str(size), "latency": "any"}
    assert f"Take trial {best['trial']}\n" in said(run_app(url, **query))
    if size is None:
        assert f"Trial {best['trial']} has the best accuracy" in reported(url)
