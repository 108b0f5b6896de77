from dataclasses import replace

import pytest

from dashboard.report.document import ReportData, report
from search.records import TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore, RunApp, said
from tests.dashboard.made_studies import add_study

REASON = "quantize: the file is no smaller [so]"


def _add(store: Store) -> None:
    """Three trials, of which the last gained nothing by a stage."""
    add_study(store, trials=2, running=1, only=TrialState.COMPLETE)
    outcome = store.trial("digits", 0).outcome
    assert outcome
    store.finish_trial("digits", 2, replace(outcome, no_op=REASON))


@pytest.mark.parametrize("page", ["frontier", "trial"])
def test_a_stage_that_made_no_difference_is_shown_with_its_likely_cause(
    run_app: RunApp, make_store: MakeStore, page: str
) -> None:
    url = make_store(_add)
    assert REASON in said(run_app(url, page, study="digits", trial="2"))
    assert REASON not in said(run_app(url, page, study="digits", trial="0"))


def test_the_report_lists_such_stages(make_store: MakeStore) -> None:
    with Store.open(make_store(_add), read_only=True) as store:
        text = report(
            ReportData(study=store.study("digits"), trials=store.trials("digits"), done={})
        )
    listed = text.partition("<h2>Stages without effect: 1 trials</h2>")[2]
    assert REASON in listed.partition("</table>")[0]
