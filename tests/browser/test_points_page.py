"""An explorer in a report, opened from disk with the network blocked: the same view as in JupyterLab, and no kernel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import FACTS, draw_around, watched
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
        "aligned = wb.aligned_umap(acts, n_neighbors=8)\nwidgets.explore(acts, method=aligned)",
        "## Clusters",
        "wb.spectral_clustering(acts.at('layer.2'))",
        "## A figure of all layers",
        "aligned",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(path, {"n": 120}, folder / "out" / "points.html")


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
    view.get_by_label("search").fill("tok11")
    page.wait_for_function("document.querySelector('.wbp tbody')?.rows.length === 11")
    for words, count in (("007", 0), ("7 tok7", 11), ("7 tok1", 3)):  # 17, 107 and 117 have both
        view.get_by_label("search").fill(words)
        page.wait_for_function(
            f"document.querySelector('.wbp [role=status]').textContent.startsWith('{count} of 120')"
        )
    view.get_by_label("search").fill("tok11")
    page.wait_for_function("document.querySelector('.wbp tbody')?.rows.length === 11")
    view.locator("tbody tr").first.press("Enter")
    assert "tok11" in view.locator(".wbp-tip").inner_text()
    assert HOSTILE in view.locator(".wbp-tip").inner_text()
    view.locator("th button").first.click()
    view.locator("th button").first.click()
    assert view.locator("tbody td").first.inner_text() == "119"
    view.get_by_label("search").press("Enter")
    settled(page, ["11", "11"])
    assert page.evaluate("window.hacked") is None


def test_a_value_of_the_colours_selects_and_the_slider_moves(page: Any) -> None:
    page.locator(".wbp-over").first.focus()
    page.keyboard.press("Escape")
    settled(page, ["0", "0"])
    page.locator(".wbp-facet > button").first.press("Enter")
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


def test_a_row_of_a_table_shows_its_point_in_every_view(page: Any) -> None:
    first, second = page.locator(".wbp").nth(0), page.locator(".wbp").nth(1)
    first.get_by_label("search").fill("tok17")
    page.wait_for_function("document.querySelector('.wbp tbody')?.rows.length === 1")
    first.locator("tbody tr").first.click()
    assert "tok17" in second.locator(".wbp-tip").inner_text()
    note = "document.querySelector('.plot').layout.annotations.map(a => a.text)"
    page.wait_for_timeout(300)
    assert "row 17" in page.evaluate(note)  # the bar of its cluster
    first.get_by_label("search").fill("")
    first.locator(".wbp-over").focus()
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert second.locator(".wbp-tip").is_hidden()
    assert "row 17" not in page.evaluate(note)


def test_the_slider_moves_the_points_between_layouts(page: Any) -> None:
    view = page.locator(".wbp").nth(1)
    view.scroll_into_view_if_needed()
    assert view.locator("input[type=range]").get_attribute("max") == "2"
    pictures = set()
    for key, layer in (("Home", "layer.0"), ("ArrowRight", "layer.1"), ("ArrowRight", "layer.2")):
        view.locator("input[type=range]").press(key)
        assert view.locator("output").inner_text() == layer
        page.wait_for_timeout(900)
        pictures.add(view.locator(".wbp-points").evaluate("c => c.toDataURL()"))
    assert len(pictures) == 3


def test_a_figures_slider_moves_its_points(page: Any) -> None:
    figure = page.locator(".plot").last
    rail = figure.locator(".slider-rail-touch-rect")
    rail.scroll_into_view_if_needed()
    page.wait_for_timeout(700)
    box, seen = rail.bounding_box(), set()
    for i in range(3):
        page.mouse.click(box["x"] + box["width"] * (0.01 + 0.49 * i), box["y"] + box["height"] / 2)
        page.wait_for_timeout(900)
        assert figure.evaluate("p => p.layout.sliders[0].active") == i
        seen.add(
            figure.evaluate(
                "p => [...p.querySelectorAll('.point')].map(e => e.getAttribute('transform')).join()"
            )
        )
    assert len(seen) == 3


def numbers(held: Any, path: str = "") -> Iterator[str]:
    """Where JSON holds a list of as many numbers as there are rows."""
    if isinstance(held, list) and len(held) >= 120 and all(isinstance(v, int | float) for v in held):
        yield path
    elif isinstance(held, dict | list):
        for name, inner in held.items() if isinstance(held, dict) else enumerate(held):
            yield from numbers(inner, f"{path}/{name}")


def test_points_are_binary_in_page_and_notebook_and_in_the_notebook_once(written: Path) -> None:
    executed = json.loads(written.with_suffix(".ipynb").read_text())
    outputs = [o["data"] for c in executed["cells"] for o in c.get("outputs", []) if "data" in o]
    state = executed["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    held = [s["buffers"] for s in state.values() if "positions" in s["state"]]
    assert len(held) == 2
    assert all(["positions", "data"] in [b["path"] for b in buffers] for buffers in held)
    assert not any("application/vnd.workbench.points+json" in data for data in outputs)
    assert list(numbers(state)) == []
    # what is left are draws of a null and the rows of a cluster, which are lists of unequal length
    assert [p for p in numbers(outputs) if "null_values" not in p and "customdata" not in p] == []
    inlined = re.findall(
        r'<script type="application/json" id="figure-[^"]*">(.*?)</script>', written.read_text(), re.DOTALL
    )
    assert len(inlined) == 4
    assert [p for each in inlined for p in numbers(json.loads(each)) if "customdata" not in p] == []


def crowd(folder: Path, views: int, figures: int) -> Path:
    """A page of so many views of points, and so many figures drawn by WebGL, of the same rows."""
    import numpy as np
    import pandas as pd
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    import widgets
    import workbench as wb
    from workbench.report.page import render
    from workbench.results.embedding import Embedding

    at = np.random.default_rng(0).standard_normal((6000, 2)).astype(np.float32)
    cloud = wb.PointCloud(at, name="crowd", table=pd.DataFrame({"kind": np.arange(6000) % 3}))
    placed = Embedding(values=at, ids=cloud.ids, title="crowd", space=cloud.space, rows=cloud.table)
    bundles = [widgets.explore(cloud, method=placed)._repr_mimebundle_()] * views
    bundles += [placed._repr_mimebundle_()] * figures
    cells = [new_code_cell("", outputs=[new_output("display_data", data=b)]) for b in bundles]
    path = folder / "crowd.html"
    path.write_text(render(new_notebook(cells=cells), FACTS), encoding="utf-8")
    return path


def test_twenty_embeddings_and_ten_figures_are_all_shown(browser: Any, tmp_path: Path) -> None:
    page = watched(
        browser.new_context(offline=True, viewport={"width": 1366, "height": 900}).new_page(), "file:"
    )
    page.on("console", lambda m: page.problems.append(m.text) if "context" in m.text.lower() else None)
    page.goto(crowd(tmp_path, 20, 10).as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=120_000)
    page.wait_for_function(f"{VIEWS}.length === 20 && {VIEWS}.every(e => e.dataset.drawn)", timeout=120_000)
    page.wait_for_timeout(500)
    # counted on a copy, since what a WebGL canvas holds can only be read by drawing it
    inked = """canvas => { const copy = document.createElement('canvas'), { width, height } = canvas;
      Object.assign(copy, { width, height });
      const to = copy.getContext('2d');
      to.drawImage(canvas, 0, 0);
      return to.getImageData(0, 0, width, height).data.some(v => v); }"""
    shown = page.locator(".wbp-points").evaluate_all(f"all => all.map({inked})")
    assert shown == [True] * 20
    figures = page.locator(".plot .gl-canvas-context").evaluate_all(f"all => all.map({inked})")
    assert figures == [True] * 10
    assert page.evaluate(f"{VIEWS}.filter(e => e.dataset.painter === 'webgl').length") <= 6
    first, last = page.locator(".point-view").first, page.locator(".point-view").last
    for view in (first, last, first):  # one that rests draws again when it is looked at and touched
        draw_around(page, view.locator(".wbp-stage"), 0.3, 0.6)
        page.wait_for_timeout(500)
        assert view.get_attribute("data-painter") == "webgl"
        assert 0 < int(view.get_attribute("data-selected") or 0) < 6000
    figure = page.locator(".plot").last
    figure.scroll_into_view_if_needed()
    page.wait_for_function("p => p._fullData && !p.dataset.resting", arg=figure.element_handle())
    page.wait_for_timeout(500)
    lit = figure.evaluate("p => p._fullData[0].selectedpoints.length")
    assert lit == int(first.get_attribute("data-selected") or 0)
    page.emulate_media(
        media="print", color_scheme="dark"
    )  # the pictures of those that rest print as dark as the others
    page.set_viewport_size({"width": 680, "height": 1000})
    assert page.locator(".plot[data-resting]").count() >= 6
    inks = page.locator(".plot[data-resting] text").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).fill))]"
    )
    assert inks == ["rgb(35, 39, 47)"]
    ends = page.locator(".plot[data-resting]").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert max(ends) <= 680
    assert page.problems == []
    page.context.close()
