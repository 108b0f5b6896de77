from dataclasses import replace

import pytest

from search.records import TrialState
from search.store import Store
from tests.dashboard.conftest import MakeStore, RunApp, said
from tests.dashboard.made_studies import add_study

REASON = "quantize: the file is no smaller [so]"


@pytest.mark.parametrize("page", ["frontier", "trial"])
def test_a_stage_that_made_no_difference_is_shown_with_its_likely_cause(
    run_app: RunApp, make_store: MakeStore, page: str
) -> None:
    def add(store: Store) -> None:
        add_study(store, trials=2, running=1, only=TrialState.COMPLETE)
        outcome = store.trial("digits", 0).outcome
        assert outcome
        store.finish_trial("digits", 2, replace(outcome, no_op=REASON))

    url = make_store(add)
    assert REASON in said(run_app(url, page, study="digits", trial="2"))
    assert REASON not in said(run_app(url, page, study="digits", trial="0"))
