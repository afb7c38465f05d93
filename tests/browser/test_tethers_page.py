"""The picture of tethers in a report: a click on a line lights the samples behind it everywhere, the slider moves time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chromium_for_tests import watched
from notebooks_for_tests import notebook

from workbench.report import report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CODE = """
import workbench as wb
both = wb.digits_siblings(models=2, width=8, depth=2, steps=30)
images = wb.PointCloud(both.probe.x, table=both.table, name="images", space=both.space)
wb.pca(images, n_null=9, n_boot=9).show(color="target")
wb.tether_compatibility(both, sources=("magnitude", "movement"), n_null=19).show()
"""
SHOWN = "() => document.getElementById('figure-2')._fullData.filter(t => t.visible === true && t.mode === 'markers' && t.customdata)"
PLACE = """() => {
  const plot = document.getElementById('figure-2'), layout = plot._fullLayout, box = plot.getBoundingClientRect();
  const trace = plot._fullData.find(t => t.visible === true && t.mode === 'lines' && t.customdata && t.line.dash === 'solid');
  const at = 2, x = trace.x[at], y = trace.y[at];
  return { x: box.left + layout.xaxis._offset + layout.xaxis.l2p(x), y: box.top + layout.yaxis._offset + layout.yaxis.l2p(y),
           rows: trace.customdata[at] };
}"""


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("tethers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        made = report(notebook(folder / "small.ipynb", CODE), {}, folder / "out" / "small.html")
    page = watched(browser.new_page(viewport={"width": 1366, "height": 1000}), made.as_uri())
    page.goto(made.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    yield page
    page.close()


def click_a_line(page: Any) -> list[int]:
    page.locator("#figure-2").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    at = page.evaluate(PLACE)
    page.mouse.move(at["x"] - 3, at["y"])
    page.mouse.move(at["x"], at["y"], steps=3)
    page.wait_for_timeout(200)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(400)
    return at["rows"]


def lit(page: Any) -> set[int]:
    script = "() => document.getElementById('figure-1')._fullData.flatMap(t => (t.selectedpoints || []).map(i => t.customdata[i]))"
    return set(page.evaluate(script))


def test_a_click_on_a_line_lights_the_samples_behind_it(page: Any) -> None:
    rows = click_a_line(page)
    assert len(rows) >= 2
    assert f"{len(rows)} rows selected" in page.inner_text("#selection")
    assert lit(page) == set(rows)
    page.keyboard.press("Escape")


def test_the_slider_shows_another_step_and_its_own_rows(page: Any) -> None:
    before = page.evaluate(f"{SHOWN}.map(t => t.index)".replace("() => ", ""))
    page.locator("#figure-2 .slider-rail-touch-rect").click(position={"x": 3, "y": 8})
    page.wait_for_timeout(400)
    after = page.evaluate(f"{SHOWN}.map(t => t.index)".replace("() => ", ""))
    assert len(before) == len(after) == 1 and before != after
    said = "document.querySelector('#figure-2 .slider-label').textContent"
    assert page.evaluate(said) == "step 1"
    rows = click_a_line(page)
    assert lit(page) == set(rows)
    page.keyboard.press("Escape")


def test_a_selection_elsewhere_lights_the_lines_that_stand_for_it(page: Any) -> None:
    rows = click_a_line(page)
    marks = page.evaluate(f"{SHOWN}.map(t => t.selectedpoints.length)".replace("() => ", ""))
    assert len(rows) and marks[0] >= 1
    assert page.problems == []
