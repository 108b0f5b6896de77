"""The frontier page in a real browser: what a person sees and clicks."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from dashboard.launch import server_command, server_environment
from search.store import Store
from tests.dashboard.made_studies import add_study

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install it")

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
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
_WAIT_MS = 30_000


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = os.environ.get("RETORT_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'retort.db'}"
    with Store.open(url) as store:
        add_study(store, "digits", trials=150, running=2)
    return url


@pytest.fixture(scope="module")
def address(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the launcher's own command serves a study of 150 trials."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = server_command(host="127.0.0.1", port=port, open_browser=False)
    # Not from the checkout: the app must be found from any folder.
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = dict(server_environment(store_url, study=None))
    server = subprocess.Popen(command, env=environment, cwd=elsewhere)
    try:
        _wait_until_served(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_until_served(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"nothing is served at {url}")


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


def _visit(
    browser: "playwright.Browser", url: str, *, width: int = 1280, theme: str = "light"
) -> "playwright.Page":
    viewport = {"width": width, "height": 900}
    page = browser.new_page(viewport=viewport, color_scheme=theme)
    page.goto(url)
    page.locator(".stPlotlyChart .scatterlayer .point").first.wait_for(timeout=_WAIT_MS)
    page.get_by_text("of 152 trials.").wait_for(timeout=_WAIT_MS)
    page.wait_for_function("!document.querySelector('[data-test-script-state=running]')")
    return page


def _click_frontier_point(page: "playwright.Page") -> None:
    """Clicks the smallest student on the frontier of the first chart: none lies over it."""
    points = page.locator(".stPlotlyChart").first.locator(
        "g.trace:has(path.point[style*='rgb(16, 163, 127)']) path.point"
    )
    # plotly takes a click for that point whose label it shows.
    lefts = points.evaluate_all("all => all.map(point => point.getBoundingClientRect().left)")
    points.nth(lefts.index(min(lefts))).hover(force=True)
    page.locator(".hoverlayer .hovertext").first.wait_for(timeout=_WAIT_MS)
    page.mouse.down()
    page.mouse.up()


def test_a_click_on_the_frontier_shows_the_trial(
    browser: "playwright.Browser", address: str, screenshots: Path
) -> None:
    page = _visit(browser, address)
    _click_frontier_point(page)
    page.get_by_text("on the frontier").wait_for(timeout=_WAIT_MS)
    page.get_by_text("retort export").wait_for(timeout=_WAIT_MS)
    assert "study=digits" in page.url
    assert "trial=" in page.url
    _screenshot_whole(page, screenshots / "clicked-light-1280.png", width=1280)
    page.close()


def test_a_chosen_row_of_the_table_shows_its_trial(
    browser: "playwright.Browser", address: str
) -> None:
    page = _visit(browser, f"{address}/?study=digits")
    # The table is a canvas: the box of its third row, under a header of one row.
    page.locator(".stDataFrame .dvn-scroller").last.click(position={"x": 18, "y": 35 * 3 + 18})
    page.get_by_role("heading", name="Trial 2").wait_for(timeout=_WAIT_MS)
    assert "trial=2" in page.url
    page.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_a_deep_link_restores_the_page_without_a_sideways_scroll(
    browser: "playwright.Browser", address: str, screenshots: Path, theme: str, width: int
) -> None:
    page = _visit(browser, f"{address}/?study=digits&trial=20", theme=theme, width=width)
    page.get_by_text("Trial 20").first.wait_for(timeout=_WAIT_MS)
    _screenshot_whole(page, screenshots / f"frontier-{theme}-{width}.png", width=width)
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0
    page.close()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", b"101"), ("rebound.example", b"403")])
def test_fault_27_a_foreign_host_header_is_refused(address: str, host: str, status: bytes) -> None:
    port = int(address.rpartition(":")[2])
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Origin: http://{host}:{port}\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(64).split()[1] == status


def _screenshot_whole(page: "playwright.Page", path: Path, *, width: int) -> None:
    # Streamlit scrolls a part of the page, so the window is made as high as that part is.
    script = "document.querySelector('[data-testid=stMain]').scrollHeight"
    page.set_viewport_size({"width": width, "height": page.evaluate(script) + 20})
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
