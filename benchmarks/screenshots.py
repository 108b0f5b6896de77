"""Screenshots of the dashboard for the README; they need playwright and chromium.

python benchmarks/screenshots.py [FOLDER]
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

from dashboard.launch import server_command, server_environment
from search.storage.storage import Store
from tests.dashboard.made_studies import add_study

WIDTH, HEIGHT = 1280, 1300


def main(folder: Path) -> None:
    """Write frontier-light.png and frontier-dark.png."""
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/retort.db"
        with Store.open(url) as store:
            add_study(store, "flowers", trials=150)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = server_command(host="127.0.0.1", port=port, open_browser=False)
        environment = dict(server_environment(url, study=None))
        server = subprocess.Popen(command, env=environment, cwd=scratch)  # noqa: S603
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/_stcore/health")
            _keep(f"{address}/frontier", "light", folder / "frontier-light.png")
            _keep(f"{address}/frontier", "dark", folder / "frontier-dark.png")
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own address
        except OSError:
            time.sleep(0.2)
        else:
            return


def _keep(url: str, theme: Literal["light", "dark"], path: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        viewport: ViewportSize = {"width": WIDTH, "height": HEIGHT}
        page = browser.new_page(viewport=viewport, color_scheme=theme)
        page.goto(url)
        page.wait_for_function(
            "document.querySelectorAll('.retort-plot svg.main-svg').length > 5", timeout=60_000
        )
        page.wait_for_timeout(2000)
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/images")
