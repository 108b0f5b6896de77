"""A real browser, and dashboards that the launcher's own command serves.

One shows two studies: `digits` is made up, of 150 trials; the students of `stripes` were really
trained and can be had. The other shows the demo's study, really searched.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import numpy as np
import pytest

from dashboard.launch import server_command, server_environment
from search.config.presets import preset_text
from search.data.dataset import Dataset
from search.data.views.view import Views
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, write_predictions
from search.objectives.predictions import Predictions
from search.pipeline.trial import finish, run_trial
from search.records import Measurement, StudyState
from search.storage.storage import Store
from spaces.distillation.labels import Labels
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.conftest import CLASSES, task_in
from tests.dashboard.browser.gestures import WAIT_MS, settle
from tests.dashboard.made_studies import TEACHER as MADE_TEACHER
from tests.dashboard.made_studies import add_study

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Served:
    """A dashboard: its address, the store that it shows, and the folder that it is in."""

    address: str
    store: str
    folder: Path


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: RETORT_SCREENSHOTS, or a folder that pytest throws away."""
    folder = os.environ.get("RETORT_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, stripes: Dataset, views: Views
) -> Iterator[Served]:
    """The dashboard, as it is served from some other folder."""
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder / 'retort.db'}"
    with Store.open(url) as store:
        _add_stripes(store, stripes, views, folder / "artifacts")
        add_study(store, "digits", trials=150, running=2)
    with _serving(url, folder) as dashboard:
        yield dashboard


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo's study, of a few trials and short trainings, searched by the command itself."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "study.yaml").write_text(preset_text("digits"))
    shorter = ["search.trials=3", "run.parallel=1", f"run.cache={folder / 'cache'}"]
    shorter += ["teacher.train.epochs=3", "space.training.standard.epochs=4"]
    shorter += ["budget.latency=10s"]  # whatever the machine's minutes are like
    subprocess.run(retort("run", "study.yaml", *shorter), cwd=folder, check=True)
    with _serving(f"sqlite:///{folder / 'retort.db'}", folder) as dashboard:
        yield dashboard


def retort(*words: str) -> list[str]:
    """The command, by this interpreter."""
    return [sys.executable, "-P", "-c", "from search.cli.main import main; main()", *words]


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = server_command(host="127.0.0.1", port=port, open_browser=False)
    # Not from the checkout: the app must be found from any folder.
    server = subprocess.Popen(command, env=dict(server_environment(url, study=None)), cwd=folder)
    try:
        _wait_until_served(f"http://127.0.0.1:{port}/_stcore/health")
        yield Served(f"http://127.0.0.1:{port}", url, folder)
    finally:
        server.terminate()
        server.wait(60)


def _add_stripes(store: Store, dataset: Dataset, views: Views, artifacts: Path) -> None:
    """Students that were trained for seconds, their teacher's predictions and the images beside."""
    labels = dataset.validation.labels
    # A teacher that takes every fifth image for another class.
    taught = np.where(np.arange(len(labels)) % 5 == 0, (labels + 1) % CLASSES, labels)
    (artifacts / TEACHER).mkdir(parents=True)
    known = Predictions(labels=labels, classes=taught, confidence=np.full(len(labels), 0.9, "f4"))
    write_predictions(artifacts / TEACHER / PREDICTIONS, {"validation": known})
    context = replace(task_in(artifacts.parent, dataset, views), teacher_classes=taught)
    # A prepared data set stands in `data/` of its cache.
    config = {"study": "stripes", "run": {"cache": str(dataset.folder.parents[1])}}
    store.create_study("stripes", config=config, artifacts=str(artifacts))
    store.record_teacher("stripes", replace(MADE_TEACHER, quality={"accuracy": Measurement(0.8)}))
    plain = Recipe(
        student=Timm(model="test_resnet"),
        training=Standard(epochs=2, batch_size=16, warmup_epochs=0),
        distillation=Labels(),
        pruning=NoPruning(),
        quantization=Float32(),
    )
    small = replace(plain, pruning=Magnitude(ratio=0.5, recovery=0.5), quantization=Int8Static())
    for recipe in (plain, small):
        number = store.start_trial("stripes", params=recipe.to_params(), seed=0)
        store.finish_trial(
            "stripes", number, finish(run_trial(recipe, context, number=number, seed=0))
        )
    store.set_study_state("stripes", StudyState.FINISHED)


def _wait_until_served(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"nothing is served at {url}")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: "Browser", request: pytest.FixtureRequest) -> "Iterator[Callable[..., Page]]":
    """Opens a page of a dashboard, by default that of the two studies; waits until it is drawn."""
    pages = []

    def open_page(
        path: str, *, at: Served | None = None, width: int = 1280, theme: str = "light"
    ) -> "Page":
        dashboard: Served = at or request.getfixturevalue("served")
        viewport = {"width": width, "height": 900}
        page = browser.new_page(viewport=viewport, color_scheme=theme, accept_downloads=True)
        pages.append(page)
        page.goto(f"{dashboard.address}/{path}")
        page.locator("[data-testid=stMain] h2").first.wait_for(timeout=WAIT_MS)
        settle(page)
        return page

    yield open_page
    for page in pages:
        page.close()
