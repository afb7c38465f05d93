"""The page that compares a sweep's runs, as it is opened from disk: a menu, a table that sorts, links to reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import watched
from notebooks_for_tests import HOSTILE, notebook

from workbench.report.sweeps.sweep import sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASKS = (
    "import workbench as wb\nassert n < 60, 'too many, it says <b>here</b>'",
    "wb.pca(wb.circle(n=n, noise=noise, dimensions=4), n_null=19, n_boot=19)",
)
DRAWN = "document.documentElement.dataset.drawn === 'yes'"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    path = notebook(folder / "rings.ipynb", *ASKS, parameters=f"n = 30\nnoise = 0.1\nwords = {HOSTILE!r}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        grid = {"n": [50, 30, 9, 60], "noise": [0.1, 0.5], "words": [HOSTILE]}
        done = sweep(path, grid, folder / "out", jobs=2)
    assert (done.done, done.failed) == (6, 2)
    return folder / "out" / "index.html"


@pytest.fixture
def page(browser: Any, index: Path) -> Iterator[Any]:
    context = browser.new_context(offline=True, viewport={"width": 1024, "height": 800})
    page = watched(context.new_page(), "file:")
    page.goto(index.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    yield page
    context.close()


def column(page: Any, name: str) -> list[str]:
    """What stands in one of the table's columns, from top to bottom; of a number's evidence nothing."""
    names = page.locator("#table thead th").all_inner_texts()
    k = next(i for i, n in enumerate(names) if n.strip(" ▲▼") == name)
    return page.evaluate(
        "k => [...table.tBodies[0].rows].map(r => (r.cells[k].querySelector('strong') || r.cells[k]).innerText)",
        k,
    )


def settle(page: Any) -> None:
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def test_says_what_differs_and_what_failed_without_an_error_or_a_request(page: Any) -> None:
    assert page.locator(".small .main-svg").count() >= 1
    assert page.locator("#table thead th").all_inner_texts()[:3] == ["run", "n", "noise"]
    assert HOSTILE in page.inner_text("main dl")
    (failure,) = page.locator(".failure").all_inner_texts()
    assert "too many, it says <b>here</b>" in failure
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    fonts = "[...document.querySelectorAll('body, .small text')].map(e => getComputedStyle(e).fontFamily)"
    assert len(set(page.evaluate(fonts))) == 1
    assert page.problems == []


def test_a_heading_sorts_numbers_as_numbers_and_back(page: Any) -> None:
    heading = page.locator("#table thead th button", has_text="n").nth(1)
    assert heading.inner_text() == "n"
    heading.press("Enter")
    assert column(page, "n") == ["9", "9", "30", "30", "50", "50", "60", "60"]
    heading.press("Enter")
    assert column(page, "n") == ["60", "60", "50", "50", "30", "30", "9", "9"]
    assert page.locator("#table thead th[aria-sort=descending]").count() == 1
    number = page.locator("#table thead th button").nth(3)
    name = number.inner_text()
    for down in (False, True):
        number.click()
        values = column(page, name)
        assert values[-2:] == ["", ""], "runs that failed come last either way"
        assert values[:-2] == sorted(values[:-2], key=float, reverse=down)
    assert page.problems == []


def test_the_menu_draws_along_another_parameter(page: Any) -> None:
    def lines() -> list[Any]:
        marks = "t => t.customdata && [t.name, t.x.join()]"
        return page.evaluate(f"document.querySelector('.small').data.map({marks}).filter(Boolean)")

    assert page.locator("#along option").all_inner_texts() == ["n", "noise"]
    assert lines() == [["noise=0.1", "9,30,50"], ["noise=0.5", "9,30,50"]]
    page.select_option("#along", label="noise")
    settle(page)
    assert lines() == [[f"n={n}", "0.1,0.5"] for n in (50, 30, 9)]
    assert page.locator("#legend span").all_inner_texts() == ["n=50", "n=30", "n=9"]
    assert page.problems == []


def test_a_click_on_a_mark_shows_its_run_and_a_click_there_opens_the_report(page: Any) -> None:
    at = page.locator(".small .points").last.locator("path").nth(1).bounding_box()
    page.mouse.click(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.wait_for_selector("tr.shown")
    run = page.locator("tr.shown")
    assert [run.locator("td").nth(k).inner_text() for k in (1, 2)] == ["30", "0.5"]
    run.locator("a").click()
    page.wait_for_selector(".plot .main-svg, .plot .js-plotly-plot")
    assert "n = 30" in page.inner_text("body") or "n=30" in page.inner_text("body")
    assert page.problems == []


def test_what_tells_runs_apart_stays_in_sight_where_there_are_many_numbers(page: Any) -> None:
    page.add_style_tag(content="#table td:last-child { min-width: 1200px; }")  # as wide as many numbers
    page.set_viewport_size({"width": 800, "height": 700})
    settle(page)
    scrolled = "at => { const box = table.parentElement; box.scrollLeft = at; return box.scrollLeft; }"
    assert page.evaluate(scrolled, 300) > 100
    box = page.locator("#table").locator("..").bounding_box()
    cells = page.locator("#table tbody tr").first.locator("td")
    assert all(cells.nth(k).bounding_box()["x"] >= box["x"] for k in range(3))
    assert cells.nth(3).bounding_box()["x"] < box["x"]


def test_reads_in_the_dark(browser: Any, index: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(index.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    ink = page.evaluate("document.querySelector('.small')._fullLayout.font.color")
    pinned = page.evaluate("getComputedStyle(table.tBodies[0].rows[0].cells[0]).backgroundColor")
    page.close()
    assert ink == "#e6e9ee"
    assert pinned in ("rgb(21, 24, 29)", "rgba(0, 0, 0, 0)")


def test_prints_dark_on_white_whatever_the_theme_and_nothing_cut(browser: Any, index: Path) -> None:
    page = browser.new_page(color_scheme="dark", viewport={"width": 680, "height": 1000})
    page.goto(index.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    page.emulate_media(media="print", color_scheme="dark")
    look = (
        "[...document.querySelectorAll('.small')].map(p => [p._fullLayout.font.color, p._fullLayout.width])"
    )
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    assert {tuple(found) for found in page.evaluate(look)} == {("#23272f", 306)}
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert page.locator("#legend").is_visible()
    assert not page.locator("#along").is_visible()
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_timeout(300)
    assert all(found[0] == "#e6e9ee" for found in page.evaluate(look))
    page.close()
