"""JupyterLab as a person meets it: run, draw a lasso, follow the links, cancel, close the tab, restart the kernel.

Nothing may be logged as an error, and nothing requested but from the server on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium_for_tests import draw_around, watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = (
    "import numpy as np, pandas as pd, workbench as wb, widgets\n"
    "rng, which = np.random.default_rng(0), np.arange(120) % 3\n"
    "table = pd.DataFrame({'kind': np.array(['a', 'b', 'c'])[which], 'token': [f'tok{i}' for i in range(120)],\n"
    "                      'text': 'some <img src=x onerror=alert(1)> text'})\n"
    "sites = {f'layer.{i}': (rng.standard_normal((120, 6)) + 3 * (i + 1) * np.eye(6)[which]).astype('float32')\n"
    "         for i in range(3)}\n"
    "acts = wb.Activations(sites, table, name='layers')\n"
    "first = widgets.explore(acts, color='kind'); first",
    "second = widgets.explore(acts, method=wb.aligned_umap(acts, n_neighbors=8))\n"
    "second.add(wb.spectral_clustering(acts.at('layer.2'))); second",
    # 9,999 draws of it take minutes: the tab is closed and opened while they go on
    "panel = widgets.panel('pca', wb.circle(n=3000, dimensions=200)); panel",
    "import time\n"
    "for _ in range(20): time.sleep(0.05)\n"
    "print('kernel', len(first.selection), first.selection == second.selection, len(panel.results), panel.work.running)",
)
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
VIEWS = "[...document.querySelectorAll('[data-drawn]')]"
CANCELLED = "[...document.querySelectorAll('.jp-OutputArea [role=status]')].some(e => e.textContent.includes('Stopped'))"


@pytest.fixture(scope="module")
def address(lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder, CELLS, folder / "cache") as address:
        yield address


@pytest.fixture(scope="module")
def page(address: str, browser: Any) -> Iterator[Any]:
    """The notebook, run once."""
    page = opened(browser, address)
    command(page, "notebook:run-all-cells")
    page.wait_for_function(f"{VIEWS}.length === 2", timeout=120_000)
    page.wait_for_selector("text=kernel 0 True 0 False", timeout=60_000)
    yield page
    page.close()


def opened(browser: Any, address: str) -> Any:
    page = watched(browser.new_page(viewport={"width": 1366, "height": 2600}), address.split("/lab/")[0])
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_function(IDLE, timeout=90_000)
    return page


def command(page: Any, name: str, arguments: str = "{}") -> None:
    page.evaluate(f"window.jupyterapp.commands.execute({name!r}, {arguments})")


def run_anew(page: Any) -> None:
    """Restart the kernel and run all cells."""
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    page.wait_for_function(IDLE, timeout=60_000)
    command(page, "notebook:run-all-cells")
    page.wait_for_selector("text=kernel 0 True 0 False", timeout=120_000)
    page.wait_for_function(f"{VIEWS}.length === 2", timeout=60_000)


def ask_the_kernel(page: Any) -> str:
    """Run the last cell again; return what it says."""
    page.evaluate(
        "(() => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = n.widgets.length - 1; })()"
    )
    command(page, "notebook:run-cell")
    cell = page.locator(".jp-CodeCell").last
    page.wait_for_timeout(300)
    page.wait_for_function(IDLE, timeout=60_000)
    return re.sub(r"\s+", " ", cell.locator(".jp-OutputArea-output").last.inner_text()).strip()


def selected(page: Any) -> list[str]:
    return page.evaluate(f"{VIEWS}.map(e => e.dataset.selected || '0')")


def settled(page: Any, counts: list[str]) -> None:
    """Wait until the views say that so many rows are selected."""
    page.wait_for_function(
        f"counts => {VIEWS}.map(e => e.dataset.selected || '0').join() === counts", arg=",".join(counts)
    )


def clusters(page: Any) -> list[int]:
    """Which bars of the cluster list are lit."""
    return page.evaluate("document.querySelector('.js-plotly-plot')._fullData[0].selectedpoints || []")


def set_number(page: Any, name: str, value: int) -> None:
    field = page.locator(f".widget-inline-hbox:has(label:text-is('{name}')) input").first
    field.fill(str(value))
    field.press("Enter")


def test_a_lasso_lights_the_same_rows_everywhere_and_the_kernel_knows_them(page: Any) -> None:
    draw_around(page, page.locator(".wbp-stage").first, 0.02, 0.5)
    settled(page, ["80", "80"])
    page.wait_for_function(
        "(document.querySelector('.js-plotly-plot')._fullData[0].selectedpoints || []).length === 2"
    )
    assert ask_the_kernel(page) == "kernel 80 True 0 False"
    assert page.locator(".wbp-table").first.locator("tbody tr").count() == 50


def test_a_clicked_cluster_lights_its_rows(page: Any) -> None:
    bar = page.locator(".js-plotly-plot .barlayer .point path").nth(1)
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    settled(page, ["40", "40"])
    assert clusters(page) == [1]


def test_search_table_and_hover_speak_of_rows_as_text(page: Any) -> None:
    view = page.locator(".wbp").first
    view.get_by_label("search").fill("tok11")
    page.wait_for_function("document.querySelector('.wbp tbody')?.rows.length === 11")
    view.locator("tbody tr").first.press("Enter")
    tip = view.locator(".wbp-tip")
    assert "tok11" in tip.inner_text() and "<img" in tip.inner_text()
    assert view.locator("img").count() == 0
    view.get_by_label("search").press("Enter")
    settled(page, ["11", "11"])
    page.locator(".wbp").first.locator(".wbp-over").focus()
    page.keyboard.press("Escape")
    settled(page, ["0", "0"])


def test_keys_in_the_points_are_not_taken_for_those_of_the_notebook(page: Any) -> None:
    before = page.locator(".jp-CodeCell").count()
    page.locator(".wbp-over").first.focus()
    for key in ("ArrowDown", "+", "0", "0", "d", "d", "x"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.locator(".jp-CodeCell").count() == before
    assert page.locator(".jp-Dialog").count() == 0
    assert page.evaluate("document.activeElement.className") == "wbp-over"


def test_the_slider_moves_the_points_between_layers(page: Any) -> None:
    view = page.locator(".wbp").nth(1)
    slider = view.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert view.locator("output").inner_text() == "layer.0"
    page.keyboard.press("ArrowRight")
    assert view.locator("output").inner_text() == "layer.1"
    page.wait_for_timeout(600)
    draw_around(page, view.locator(".wbp-stage"))
    settled(page, ["120", "120"])


def test_a_setting_is_changed_and_a_long_run_is_cancelled(page: Any) -> None:
    set_number(page, "n_components", 3)
    page.locator("button.widget-button", has_text="Run").press("Enter")
    page.wait_for_selector("text=Do 3 components explain more", timeout=60_000)
    set_number(page, "n_null", 9999)
    set_number(page, "n_boot", 9999)
    page.locator("button.widget-button", has_text="Run").press("Enter")
    page.wait_for_selector("text=/of 9,999/", timeout=30_000)
    assert ask_the_kernel(page).endswith("1 True"), "the kernel answers while the panel works"
    page.locator("button.widget-button:visible", has_text="Cancel").click()
    # within a second where the machine is idle; nine thousand draws would take minutes
    page.wait_for_function(CANCELLED, timeout=10_000)


def test_a_closed_tab_loses_nothing(page: Any, browser: Any, address: str) -> None:
    page.locator("button.widget-button", has_text="Run").press("Enter")
    page.wait_for_selector("text=/of 9,999/", timeout=30_000)
    command(page, "docmanager:save")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    before = list(page.problems)
    page.goto("about:blank")
    again = opened(browser, address)
    again.wait_for_function(f"{VIEWS}.length === 2", timeout=60_000)
    again.wait_for_selector("text=/of 9,999/", timeout=30_000)
    assert selected(again) == ["120", "120"]
    again.locator("button.widget-button:visible", has_text="Cancel").click()
    # how soon it stops is asked above; here the page has only just been opened and is still at work
    again.wait_for_function(CANCELLED, timeout=30_000)
    assert ask_the_kernel(again) == "kernel 120 True 1 False"
    assert before == again.problems == []
    again.close()


def test_a_restarted_kernel_begins_anew(browser: Any, address: str, page: Any) -> None:
    again = opened(browser, address)
    run_anew(again)
    draw_around(again, again.locator(".wbp-stage").first, 0.02, 0.5)
    settled(again, ["80", "80"])
    assert ask_the_kernel(again) == "kernel 80 True 0 False"
    # JupyterLab says of its own questions that the old kernel didn't answer them, and where it looks at the old
    # outputs before the cells have run again, that their widgets went with it
    usual = ("Canceled future", "widget model not found")
    assert [p for p in again.problems if not any(u in p for u in usual)] == []
    again.close()


def test_where_the_kernel_has_ended_it_says_what_was_shown_and_what_to_do(
    browser: Any, address: str, page: Any
) -> None:
    again = opened(browser, address)
    run_anew(again)
    before = "[...document.querySelectorAll('.workbench-still')].map(e => e.offsetHeight)"
    assert again.evaluate(before) == [0, 0, 0]
    command(again, "docmanager:save")
    again.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    again.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    again.close()
    later = opened(browser, address)
    later.wait_for_function(f"{before}.length === 3 && {before}.every(Boolean)", timeout=60_000)
    assert "Variance explained by 2 components" in later.locator(".workbench-still").first.inner_text()
    assert not any(e.is_visible() for e in later.get_by_text("Error displaying widget").all())
    later.close()
