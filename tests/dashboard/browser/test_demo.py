"""The demo's study in a real browser, from the first look to the student in one's hands."""

import subprocess
from pathlib import Path

import pytest

from search.storage.storage import Store
from tests.dashboard.browser.conftest import CHROMIUM, Served, retort
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
)

pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install it")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.ray,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
PAGES = ("studies", "frontier", "trial", "trials", "compare", "influence", "report")


def test_a_slider_asks_for_a_smaller_student(visit: Visit, demo: Served) -> None:
    page = visit("", at=demo)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("Home")
    page.get_by_text("No student fits yet").wait_for(timeout=WAIT_MS)
    assert "size=" in page.url
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_role("heading", name="Take trial").wait_for(timeout=WAIT_MS)


def test_a_point_leads_to_its_trial_which_is_exported_and_found_again_by_its_link(
    visit: Visit, demo: Served, tmp_path: Path
) -> None:
    page = visit("frontier", at=demo)
    click_frontier_point(page)
    page.get_by_text("on the frontier").wait_for(timeout=WAIT_MS)
    settle(page)
    number = page.url.rpartition("trial=")[2]
    page.get_by_role("link", name=f"Open trial {number}").last.click()
    page.get_by_role("heading", name="Results by class").wait_for(timeout=WAIT_MS)
    settle(page)
    names = download_student(page, tmp_path / "student.zip")
    assert {"model.onnx", "recipe.json", "SHA256SUMS", "README.md"} <= names
    again = visit(page.url.removeprefix(f"{demo.address}/"), at=demo)
    again.get_by_role("heading", name=f"Trial {number}").wait_for(timeout=WAIT_MS)
    assert again.get_by_role("heading", name="Effect of each stage").is_visible()
    assert again.get_by_role("heading", name="Results by class").is_visible()


def test_every_page_is_drawn(visit: Visit, demo: Served, screenshots: Path) -> None:
    for name in PAGES:
        page = visit(name, at=demo)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.locator("[data-testid=stAlertContentError]").count() == 0
        keep_whole(page, screenshots / f"demo-{name}.png", width=1280)


def test_a_search_that_goes_on_adds_a_point_and_leaves_the_zoom(visit: Visit, demo: Served) -> None:
    page = visit("frontier", at=demo)
    zoom(page)
    seen, points = ranges(page), drawn(page)
    words = ("resume", "digits", "search.trials=4", "--store", demo.store)
    with subprocess.Popen(retort(*words), cwd=demo.folder) as search:
        page.wait_for_function(
            f"""document.querySelector('.retort-plot').data
                .reduce((sum, trace) => sum + (trace.customdata?.length ?? 0), 0) > {points}""",
            timeout=5 * WAIT_MS,
        )
        assert ranges(page) == pytest.approx(seen)
        assert search.wait(300) == 0
    settle(page)
    assert ranges(page) == pytest.approx(seen)
    with Store.open(demo.store, read_only=True) as store:
        known = [trial for trial in store.trials("digits") if trial.outcome and trial.outcome.cost]
    assert drawn(page) == len(known)
