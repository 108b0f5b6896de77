"""Stores as the dashboard may meet them, and the app run over one of them."""

import json
import shutil
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from search.storage.storage import Store

APP = Path(__file__).parents[2] / "dashboard/app.py"

Fill = Callable[[Store], object]
MakeStore = Callable[..., str]
RunApp = Callable[..., AppTest]


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Callable[..., Path]:
    """Gives a database file that the functions filled; the same functions fill it only once."""
    known: dict[Hashable, Path] = {}

    def filled(*fill: Fill) -> Path:
        key = tuple(map(_call_of, fill))
        if key not in known:
            copy = tmp_path_factory.mktemp("filled") / "retort.db"
            known[key] = shutil.copyfile(empty_database, copy)
            _fill(_url(known[key]), fill)
        return known[key]

    return filled


def _call_of(step: Fill) -> Hashable:
    """What is equal for two functions that do the same: the function, and what it is given."""
    if isinstance(step, partial):
        return step.func, step.args, repr(sorted(step.keywords.items()))
    return step


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _fill(url: str, fill: Sequence[Fill]) -> None:
    with Store.open(url) as store:
        for step in fill:
            step(store)


@pytest.fixture
def make_store(_filled: Callable[..., Path], tmp_path: Path) -> MakeStore:
    """Gives the URL of the test's own store, filled by the functions it is given."""

    def make(*fill: Fill) -> str:
        path = tmp_path / "retort.db"
        if path.exists():
            _fill(_url(path), fill)
        else:
            shutil.copyfile(_filled(*fill), path)
        return _url(path)

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


@pytest.fixture(scope="session", autouse=True)
def _components_found_once() -> Iterator[None]:
    """Let Streamlit look once for components among the installed packages, not in each run."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


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
