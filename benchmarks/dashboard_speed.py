"""How long the dashboard's pages take to run again over a study of ten thousand trials.

    python benchmarks/dashboard_speed.py [TRIALS]

Each page is run by Streamlit's AppTest: once cold, then warm. What a warm run takes is what a
person waits for after a click; what the browser takes to draw is not in it.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from search.store import Store
from tests.dashboard.made_studies import add_study

APP = Path(__file__).parents[1] / "dashboard/app.py"
PAGES = ("frontier", "studies", "trial", "trials", "compare", "influence", "report")
WARM_RUNS = 11


def main(trials: int) -> None:
    """Prints a row for each page: seconds of the cold run, and of the warm ones."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/retort.db"
        with Store.open(url) as store:
            add_study(store, trials=trials, branches=99)
        os.environ["RETORT_STORE"] = url
        print(f"{trials} trials; seconds")
        print(f"{'page':12}{'cold':>8}{'median':>8}{'worst':>8}")
        for page in PAGES:
            cold, *warm = _runs(page)
            print(f"{page:12}{cold:8.3f}{statistics.median(warm):8.3f}{max(warm):8.3f}")


def _runs(page: str) -> list[float]:
    app = AppTest.from_file(str(APP), default_timeout=600)
    app.switch_page(f"views/{page}.py")
    seconds = []
    for _ in range(1 + WARM_RUNS):
        start = time.perf_counter()
        app.run()
        seconds.append(time.perf_counter() - start)
        if app.exception:
            raise SystemExit(f"{page} failed: {app.exception[0].value}")
    return seconds


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
