"""The dashboard in a real browser: what a person sees, moves and clicks."""

import math
import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from search.analysis.pareto import frontier
from search.analysis.ranking import Ranking
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL
from search.records import TrialState
from search.storage.storage import Store
from tests.dashboard.browser.conftest import CHROMIUM, Served
from tests.dashboard.browser.gestures import (
    WAIT_MS,
    Visit,
    click_frontier_point,
    download_student,
    drawn,
    keep_whole,
    ranges,
    settle,
    zoom,
    zoom_out,
)

pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install it")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]

VIEWS = {
    "frontier": "frontier?study=digits&trial=20",
    "studies": "studies",
    "trial": "trial?study=stripes&trial=1",
    "trials": "trials?study=digits&states=complete",
    "compare": "compare?study=stripes&trial=0,1",
    "influence": "influence?study=digits&across=pruning.magnitude.ratio",
    "report": "report?study=digits",
}


def test_a_click_on_the_frontier_leads_to_the_trial(visit: Visit, screenshots: Path) -> None:
    page = visit("?study=digits")
    click_frontier_point(page)
    page.get_by_text("on the frontier").wait_for(timeout=WAIT_MS)
    settle(page)
    assert "study=digits" in page.url
    number = page.url.rpartition("trial=")[2]
    # The other chart and the parameters show the same trial.
    marked = page.evaluate(
        """[...document.querySelectorAll('.retort-plot')].slice(0, 2).map(plot =>
            plot.data.flatMap(t => (t.selectedpoints ?? []).map(i => t.customdata[i][0])))"""
    )
    assert marked == [[int(number)], [int(number)]]
    keep_whole(page, screenshots / "clicked-light-1280.png", width=1280)
    page.get_by_role("link", name=f"Open trial {number}").last.click()
    page.get_by_role("heading", name="Learning curves").wait_for(timeout=WAIT_MS)
    assert "/trial?" in page.url
    assert f"trial={number}" in page.url


def test_a_slider_moves_the_choice_and_the_address(visit: Visit) -> None:
    page = visit("frontier?study=digits")
    before = page.get_by_role("heading", name="Take trial").inner_text()
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(8):
        slider.press("ArrowLeft")
    page.wait_for_function("location.search.includes('size=')", timeout=WAIT_MS)
    settle(page)
    assert page.get_by_role("heading", name="Take trial").inner_text() != before
    assert drawn(page) > 100


def test_a_student_is_exported_as_a_file(visit: Visit, tmp_path: Path) -> None:
    page = visit("frontier?study=stripes")
    names = download_student(page, tmp_path / "student.zip")
    assert {"model.onnx", "recipe.json", "SHA256SUMS", "README.md"} <= names


def test_a_trial_shows_images_on_which_it_and_its_teacher_differ(visit: Visit) -> None:
    page = visit("trial?study=stripes&trial=0")
    page.get_by_text("Disagreement with the teacher").wait_for(timeout=WAIT_MS)
    page.locator("[data-testid=stImage] img").first.wait_for(timeout=WAIT_MS)


def test_a_new_trial_appears_and_the_zoom_stays(visit: Visit, served: Served) -> None:
    page = visit("frontier?study=digits")
    zoom(page)
    seen, points = ranges(page), drawn(page)
    with Store.open(served.store) as store:
        running = store.trials("digits", states=[TrialState.RUNNING])[0]
        known = frontier(store.trials("digits", whole=True), DEFAULT_GOAL)
        pattern, smallest = known[-1].outcome, known[0].outcome
        assert pattern is not None
        assert pattern.cost is not None
        assert smallest is not None
        assert smallest.cost is not None
        # So small that the axis must reach further.
        cost = {**pattern.cost, "size_bytes": smallest.cost["size_bytes"] // 4}
        store.finish_trial("digits", running.number, replace(pattern, cost=cost))
    page.wait_for_function(
        f"""document.querySelector('.retort-plot').data
            .reduce((sum, trace) => sum + (trace.customdata?.length ?? 0), 0) > {points}""",
        timeout=WAIT_MS,
    )
    settle(page)
    assert ranges(page) == pytest.approx(seen)
    assert drawn(page) == points + 1
    zoom_out(page)
    assert ranges(page)[0] < math.log10(cost["size_bytes"]) < ranges(page)[1]
    click_frontier_point(page)
    page.get_by_text("on the frontier").wait_for(timeout=WAIT_MS)


def test_a_paused_view_offers_what_is_new_and_draws_it_when_asked(
    visit: Visit, served: Served
) -> None:
    page = visit("frontier?study=digits")
    page.get_by_text("Live", exact=True).click()
    settle(page)
    points = drawn(page)
    with Store.open(served.store) as store:
        store.start_trial("digits", params={"student": "timm"}, seed=0)
    button = page.get_by_role("button", name="1 new trials: show them")
    button.wait_for(timeout=WAIT_MS)
    assert drawn(page) == points
    button.click()
    button.wait_for(state="detached", timeout=WAIT_MS)
    page.get_by_text("153 trials").first.wait_for(timeout=WAIT_MS)


def test_a_chosen_row_of_the_table_marks_its_trial(visit: Visit) -> None:
    page = visit("frontier?study=digits")
    # The table is a canvas: the box of its third row, under a header of one row.
    page.locator(".stDataFrame .dvn-scroller").last.click(position={"x": 18, "y": 35 * 3 + 18})
    page.get_by_role("heading", name="Trial 2").wait_for(timeout=WAIT_MS)
    assert "trial=2" in page.url


def test_the_dashboard_chooses_what_the_search_chooses(visit: Visit, served: Served) -> None:
    with Store.open(served.store, read_only=True) as store:
        chosen = Ranking(store.trials("digits"), DEFAULT_GOAL).best(Budget())
    assert chosen is not None
    page = visit("frontier?study=digits")
    heading = page.get_by_role("heading", name=f"Take trial {chosen.number}", exact=True)
    heading.wait_for(timeout=WAIT_MS)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("view", VIEWS)
def test_a_deep_link_restores_a_page_without_a_sideways_scroll(
    visit: Visit, screenshots: Path, view: str, theme: str, width: int
) -> None:
    page = visit(VIEWS[view], width=width, theme=theme)
    assert VIEWS[view] in unquote(page.url)
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stAlertContentError]").count() == 0
    keep_whole(page, screenshots / f"{view}-{theme}-{width}.png", width=width)
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0


def test_a_page_asks_no_other_machine_for_anything(visit: Visit, served: Served) -> None:
    page = visit("studies")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.address}/frontier")
    page.locator("[data-testid=stMain] h2").first.wait_for(timeout=WAIT_MS)
    settle(page)
    assert asked
    assert [url for url in asked if not url.startswith((served.address, "data:", "blob:"))] == []


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", b"101"), ("rebound.example", b"403")])
def test_fault_27_a_foreign_host_header_is_refused(
    served: Served, host: str, status: bytes
) -> None:
    port = int(served.address.rpartition(":")[2])
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Origin: http://{host}:{port}\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(64).split()[1] == status
