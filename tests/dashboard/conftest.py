"""Stores as the dashboard may meet them, and the app run over one of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from search.storage.storage import Store

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


def said(app: AppTest) -> str:
    """All that the page says in words."""
    kinds = (
        app.error, app.warning, app.info, app.code, app.markdown, app.caption, app.text,
        app.subheader,
    )  # fmt: skip
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def plots(app: AppTest) -> list[dict[str, Any]]:
    """The figures that the page shows."""
    return [
        json.loads(json.loads(element.proto.json)["figure"])
        for element in app.get("bidi_component")
    ]


@pytest.fixture
def run_app(monkeypatch: pytest.MonkeyPatch) -> RunApp:
    """Runs a page of the app over the store at a URL, as a visitor of `/page?name=value…`."""

    def run(url: str, page: str = "frontier", **query: str) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        monkeypatch.setenv("RETORT_STORE", url)
        app = AppTest.from_file(str(APP), default_timeout=800)
        app.switch_page(f"views/{page}.py")
        app.query_params.update(query)
        return app.run()

    return run
