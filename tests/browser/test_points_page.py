"""An explorer in a report, opened from disk with the network blocked: the same view as in JupyterLab, and no kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import draw_around, watched
from notebooks_for_tests import HOSTILE, notebook

from workbench.report import report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VIEWS = "[...document.querySelectorAll('.point-view')]"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a notebook with two explorers and a cluster list of the same rows."""
    folder = tmp_path_factory.mktemp("points")
    path = notebook(
        folder / "points.ipynb",
        "# Points",
        f"import numpy as np, pandas as pd, workbench as wb, widgets\nhostile = {HOSTILE!r}\n"
        "rng, which = np.random.default_rng(0), np.arange(n) % 3\n"
        "table = pd.DataFrame({'kind': np.array([hostile, 'b', 'c'])[which], 'token': [f'tok{i}' for i in range(n)], 'text': hostile})\n"
        "sites = {f'layer.{i}': (rng.standard_normal((n, 6)) + 3 * (i + 1) * np.eye(6)[which]).astype('float32') for i in range(3)}\n"
        "acts = wb.Activations(sites, table, name=hostile)",
        "## One layer",
        "explorer = widgets.explore(acts, color='kind')\nexplorer",
        "## All layers",
        "widgets.explore(acts, method=wb.aligned_umap(acts, n_neighbors=8))",
        "## Clusters",
        "wb.spectral_clustering(acts.at('layer.2'))",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(path, {"n": 120}, folder / "points.html")


def opened(browser: Any, written: Path, **context: Any) -> Any:
    page = watched(
        browser.new_context(offline=True, viewport={"width": 1366, "height": 900}, **context).new_page(),
        "file:",
    )
    page.goto(written.as_uri())
    page.wait_for_function(f"{VIEWS}.length === 2 && {VIEWS}.every(e => e.dataset.drawn)", timeout=60_000)
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    return page


@pytest.fixture(scope="module")
def page(browser: Any, written: Path) -> Iterator[Any]:
    page = opened(browser, written)
    yield page
    assert page.problems == []
    page.context.close()


def settled(page: Any, counts: list[str]) -> None:
    page.wait_for_function(
        f"counts => {VIEWS}.map(e => e.dataset.selected).join() === counts", arg=",".join(counts)
    )


def lit(page: Any) -> list[int]:
    page.wait_for_timeout(300)
    return page.evaluate("document.querySelector('.plot')._fullData[0].selectedpoints || []")


def test_a_lasso_lights_the_same_rows_in_points_and_figures(page: Any) -> None:
    draw_around(page, page.locator(".wbp-stage").first, 0.02, 0.5)
    settled(page, ["80", "80"])
    assert len(lit(page)) == 2
    assert "80 rows selected" in page.inner_text("#selection")
    page.keyboard.press("Escape")
    settled(page, ["0", "0"])
    assert lit(page) == []


def test_a_clicked_cluster_lights_its_rows(page: Any) -> None:
    bar = page.locator(".plot .barlayer .point path").nth(1)
    bar.scroll_into_view_if_needed()
    page.wait_for_timeout(700)  # the page scrolls smoothly
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    settled(page, ["40", "40"])


def test_search_table_and_hover_speak_of_rows_as_text(page: Any) -> None:
    view = page.locator(".wbp").first
    view.locator("input[type=search]").fill("tok11")
    page.wait_for_function("document.querySelector('.wbp tbody')?.rows.length === 11")
    view.locator("tbody tr").first.press("Enter")
    assert "tok11" in view.locator(".wbp-tip").inner_text()
    assert HOSTILE in view.locator(".wbp-tip").inner_text()
    view.locator("th button").first.click()
    view.locator("th button").first.click()
    assert view.locator("tbody td").first.inner_text() == "119"
    view.locator("input[type=search]").press("Enter")
    settled(page, ["11", "11"])
    assert page.evaluate("window.hacked") is None


def test_a_legend_entry_selects_and_the_slider_moves(page: Any) -> None:
    page.locator(".wbp-key button").first.press("Enter")
    settled(page, ["40", "40"])
    view = page.locator(".wbp").nth(1)
    view.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    assert view.locator("output").inner_text() == "layer.0"
    page.locator(".wbp-over").first.focus()
    page.keyboard.press("Escape")
    settled(page, ["0", "0"])


def test_every_control_is_reached_by_the_keyboard(page: Any) -> None:
    page.locator(".wbp-bar button").first.focus()
    reached = []
    for _ in range(12):
        reached.append(
            page.evaluate("(e => e.textContent.trim() || e.type || e.className)(document.activeElement)")
        )
        page.keyboard.press("Tab")
    for control in ("Lasso", "Box", "Move", "+", "−", "Fit", "search"):
        assert control in reached
    assert page.evaluate(
        "[...document.querySelectorAll('.wbp input, .wbp select')].every(e => e.labels.length)"
    )


def test_without_webgl_it_is_a_picture_that_says_so(chromium: Callable[..., Any], written: Path) -> None:
    page = opened(chromium("--disable-gpu", "--disable-3d-apis"), written)
    assert page.evaluate(f"{VIEWS}.map(e => e.dataset.painter)") == ["picture", "picture"]
    assert "WebGL is missing here" in page.locator(".wbp-note").first.inner_text()
    draw_around(page, page.locator(".wbp-stage").first, 0.02, 0.5)
    settled(page, ["80", "80"])
    inked = "[...document.querySelector('.wbp-points').getContext('2d').getImageData(0, 0, 700, 400).data].some(v => v)"
    assert page.evaluate(inked)
    page.context.close()


def test_it_reads_in_the_dark(browser: Any, written: Path) -> None:
    page = opened(browser, written, color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('.wbp')).color") == "rgb(230, 233, 238)"
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.wbp select')).backgroundColor")
        == "rgb(21, 24, 29)"
    )
    page.context.close()
