"""What a person does on a page of the dashboard, and what is then to be seen."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Visit = Callable[..., Page]
else:
    Visit = Callable

WAIT_MS = 180_000
_GREEN = "rgb(16, 163, 127)"


def click_frontier_point(page: "Page", place: int = 0) -> None:
    """Clicks the student on the frontier of a chart that stands farthest from all others.

    Plotly takes a click for that point whose label it shows: of two near twins it may be the one
    that is not on the frontier.
    """
    plot = page.locator(".retort-plot").nth(place)
    points = plot.locator(f"g.trace:has(path.point[style*='{_GREEN}']) path.point")
    room = points.evaluate_all(
        """all => all.map(point => {
            const plot = point.closest('.retort-plot');
            const area = plot.querySelector('.nsewdrag').getBoundingClientRect();
            if (point.getBoundingClientRect().bottom >= area.bottom) return 0;
            const middle = (one) => {
                const box = one.getBoundingClientRect();
                return [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
            };
            const [x, y] = middle(point);
            const others = [...plot.querySelectorAll('path.point')].filter(one => one !== point);
            const aways = others.map(middle).map(([left, top]) => Math.hypot(left - x, top - y));
            // Of the chosen student the ring lies around the point itself.
            return Math.min(1000, ...aways.filter(away => away > 0.01));
        })"""
    )
    points.nth(room.index(max(room))).hover(force=True)
    page.locator(".hoverlayer .hovertext").first.wait_for(timeout=WAIT_MS)
    page.mouse.down()
    page.mouse.up()


def ranges(page: "Page") -> list[float]:
    """What the first chart shows of the costs, as exponents of ten."""
    found: list[float] = page.evaluate(
        "document.querySelector('.retort-plot')._fullLayout.xaxis.range"
    )
    return found


def drawn(page: "Page") -> int:
    """How many points the first chart holds."""
    count: int = page.evaluate(
        """document.querySelector('.retort-plot').data
            .reduce((sum, trace) => sum + (trace.customdata?.length ?? 0), 0)"""
    )
    return count


def zoom(page: "Page") -> None:
    """Draws a box in the first chart."""
    area = page.locator(".retort-plot .nsewdrag").first.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 20, area["y"] + 20)
    page.mouse.down()
    page.mouse.move(area["x"] + 200, area["y"] + 200, steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)


def zoom_out(page: "Page") -> None:
    """Asks the first chart for all that it holds."""
    zoomed = ranges(page)
    for _ in range(3):  # two clicks of a slow page may count as one and one
        page.locator(".retort-plot .nsewdrag").first.dblclick(force=True)
        page.wait_for_timeout(1000)
        if ranges(page) != zoomed:
            return


def download_student(page: "Page", path: Path) -> set[str]:
    """Exports the student that the page shows; the names of the files that came."""
    page.get_by_role("button", name="Export").first.click()
    button = page.get_by_role("button", name="Download", exact=True)
    button.wait_for(timeout=3 * WAIT_MS)
    with page.expect_download(timeout=WAIT_MS) as download:
        button.click()
    download.value.save_as(path)
    return {Path(name).name for name in zipfile.ZipFile(path).namelist()}


def settle(page: "Page") -> None:
    """Waits until the app has run and every figure on the page is drawn."""
    page.wait_for_function(
        """() => !document.querySelector('[data-test-script-state=running]')
            && !document.querySelector('[data-testid=stSkeleton]')
            && document.querySelectorAll('.stBidiComponent').length
                === document.querySelectorAll('.retort-plot .svg-container').length""",
        timeout=WAIT_MS,
    )
    page.wait_for_timeout(500)


def keep_whole(page: "Page", path: Path, *, width: int) -> None:
    """A screenshot of all of the page, however long."""
    # Streamlit scrolls a part of the page, so the window is made as high as that part is.
    script = "document.querySelector('[data-testid=stMain]').scrollHeight"
    page.set_viewport_size({"width": width, "height": page.evaluate(script) + 20})
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
