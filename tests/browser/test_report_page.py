"""The page as a colleague opens it: from disk, the network blocked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Any, small_report: Path) -> Iterator[Any]:
    context = browser.new_context(offline=True, viewport={"width": 1366, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: page.problems.append(str(e)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else page.problems.append(r.url),
    )
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    yield page
    context.close()


def selected(page: Any, figure: str) -> int:
    script = "id => document.getElementById(id)._fullData.map(t => (t.selectedpoints || []).length).reduce((a, b) => a + b, 0)"
    return page.evaluate(script, figure)


def test_draws_every_figure_without_an_error_or_a_request(page: Any) -> None:
    assert page.locator(".plot .main-svg").count() >= 2
    assert page.evaluate("document.querySelectorAll('.plot').length") == 2
    assert page.problems == []


def test_text_from_data_does_not_act(page: Any) -> None:
    page.locator("#figure-1").hover(position={"x": 400, "y": 300})
    assert page.evaluate("window.hacked") is None
    assert "<script>window.hacked=1</script>" in page.inner_text("main")


def test_lasso_in_one_figure_selects_the_same_rows_in_the_other(page: Any) -> None:
    page.locator("#figure-1").scroll_into_view_if_needed()
    box = page.locator("#figure-1 .nsewdrag").first.bounding_box()
    left, top, right, bottom = (
        box["x"] + 5,
        box["y"] + 5,
        box["x"] + box["width"] / 2,
        box["y"] + box["height"] - 5,
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 2)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.wait_for_function("!document.getElementById('selection').hidden")
    page.wait_for_timeout(300)
    here, there = selected(page, "figure-1"), selected(page, "figure-2")
    assert 0 < here < 90
    assert here == there
    assert f"{here} rows selected" in page.inner_text("#selection")
    page.keyboard.press("Escape")
    page.wait_for_function("document.getElementById('selection').hidden")


def test_reads_in_the_dark(browser: Any, small_report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    ink = page.evaluate("document.getElementById('figure-1')._fullLayout.font.color")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert ink == "#e6e9ee"
    assert paper == "rgb(21, 24, 29)"
