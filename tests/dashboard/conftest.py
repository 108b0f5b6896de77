"""Stores as the dashboard may meet them, and the app run over one of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from search.store import Store

APP = Path(__file__).parents[2] / "dashboard/app.py"

MakeStore = Callable[..., str]
RunApp = Callable[..., AppTest]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Gives the URL of a new store, filled by the functions it is given."""

    def make(*fill: Callable[[Store], object]) -> str:
        url = f"sqlite:///{tmp_path / 'retort.db'}"
        with Store.open(url) as store:
            for step in fill:
                step(store)
        return url

    return make


@pytest.fixture
def run_app(monkeypatch: pytest.MonkeyPatch) -> RunApp:
    """Runs the app over the store at a URL, as a visitor of the address `?name=value…`."""

    def run(url: str, **query: str) -> AppTest:
        st.cache_data.clear()
        monkeypatch.setenv("RETORT_STORE", url)
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.query_params.update(query)
        return app.run()

    return run
