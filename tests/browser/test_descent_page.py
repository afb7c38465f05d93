"""The three pictures of a descent in a report: without a kernel the slider moves the point of renormalization."""

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
descent = wb.digits_descent(width=8, depth=1, steps=120)
wb.renormalization_pictures(descent, positions=9, n_null=0, n_boot=0).show()
"""
STATE = """() => {
  const plot = document.getElementById('figure-1');
  const said = plot.querySelector('.slider-label').textContent;
  const lines = plot.layout.shapes.map(s => s.x0);
  const drawn = plot._fullData.map(t => Array.from(t.y));
  return { said, lines, drawn, x: Array.from(plot._fullData[0].x) };
}"""

MOVED = """() => {
  const plot = document.getElementById('figure-1');
  const said = Number(plot.querySelector('.slider-label').textContent.split(' ')[2]);
  return plot.layout.shapes.every(s => Math.abs(s.x0 - said) < 0.06);
}"""


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        made = report(notebook(folder / "small.ipynb", CODE), {}, folder / "out" / "small.html")
    page = watched(browser.new_page(viewport={"width": 1366, "height": 1000}), made.as_uri())
    page.goto(made.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    yield page
    page.close()


def at(page: Any, share: float) -> dict[str, Any]:
    """What is drawn once the slider's rail was clicked there."""
    rail = page.locator("#figure-1 .slider-rail-touch-rect")
    rail.scroll_into_view_if_needed()
    before = page.evaluate(STATE)["said"]
    rail.click(position={"x": share * rail.bounding_box()["width"], "y": 8})
    page.wait_for_function(
        "b => document.querySelector('#figure-1 .slider-label').textContent !== b", arg=before
    )
    page.wait_for_function(MOVED)
    return page.evaluate(STATE)


def test_the_slider_moves_the_renormalization_in_all_pictures(page: Any) -> None:
    first = page.evaluate(STATE)
    assert first["said"].startswith("x = 5 ")
    early, late = at(page, 0.01), at(page, 0.99)
    for found, side in ((early, "early"), (late, "late")):
        x = float(found["said"].split()[2])
        assert x < 3 if side == "early" else x > 7
        assert len(found["lines"]) == 4 and found["lines"] == pytest.approx([x] * 4, abs=0.06)
        anew = next(i for i, at in enumerate(found["x"]) if at >= found["lines"][0] - 1e-6)
        upper = found["drawn"][4]  # both, renormalized at x: the quadratic's upper half opens anew there
        assert upper[anew] == pytest.approx(1, abs=1e-6) and upper[anew - 1] < upper[anew]
        assert found["drawn"][0] == pytest.approx(
            first["drawn"][0], abs=1e-6
        )  # what isn't renormalized stays
        assert found["drawn"][8] == pytest.approx(
            first["drawn"][8], rel=1e-6
        )  # and so does the loss that was recorded
        assert found["drawn"][10] != pytest.approx(first["drawn"][10], rel=1e-4)  # two laws joined there
    assert page.problems == []
