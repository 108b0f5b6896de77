"""Times of the dashboard's pages over a study of ten thousand trials.

    python benchmarks/dashboard_speed.py [TRIALS]

Streamlit's AppTest runs each page: once cold, then warm, then after a trial was added to the
store, as in a live view. A person waits for a warm run after a click; `slider` is the frontier's
run after a change of the budget. The browser's drawing is not included.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from search.storage.storage import Store
from tests.dashboard.made_studies import add_study

APP = Path(__file__).parents[1] / "dashboard/app.py"
PAGES = ("frontier", "studies", "trial", "trials", "compare", "influence", "report")
WARM_RUNS = 11
BOUNDS = (20_000, 50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 400_000, 500_000)


def main(trials: int) -> None:
    """Print a row for each page: seconds of the cold run, the warm ones, and after a change."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/retort.db"
        with Store.open(url) as store:
            add_study(store, trials=trials, branches=99)
        os.environ["RETORT_STORE"] = url
        print(f"{trials} trials; seconds")
        print(f"{'page':12}{'cold':>8}{'median':>8}{'worst':>8}{'changed':>9}")
        for page in PAGES:
            app = _page(page)
            cold = _run(app)
            warm = [_run(app) for _ in range(WARM_RUNS)]
            changed = _changed(app, url)
            print(f"{page:12}{cold:8.3f}{_figures(warm)}{changed:9.3f}")
        print(f"{'slider':12}{'':8}{_figures(_moved())}")


def _page(name: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=600)
    app.switch_page(f"views/{name}.py")
    return app


def _run(app: AppTest) -> float:
    start = time.perf_counter()
    app.run()
    seconds = time.perf_counter() - start
    if app.exception:
        raise SystemExit(f"a page failed: {app.exception[0].value}")
    return seconds


def _changed(app: AppTest, url: str) -> float:
    with Store.open(url) as store:
        store.start_trial("digits", params={"student": "timm"}, seed=0)
    return _run(app)


def _moved() -> list[float]:
    app = _page("frontier")
    _run(app)
    seconds = []
    for bound in BOUNDS:
        app.select_slider(key="frontier.size").set_value(float(bound))
        seconds.append(_run(app))
    return seconds


def _figures(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):8.3f}{max(seconds):8.3f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
