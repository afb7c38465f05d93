"""Measure the view of points in a report and in JupyterLab: size, first frame, moving, lasso, filters. Run by hand:

.venv/bin/python tests/browser/measure.py 10000 100000 1000000
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from chromium_for_tests import FACTS, FLAGS, draw_around, serve
from nbformat.v4 import new_code_cell, new_notebook, new_output

import widgets
import workbench as wb
from workbench.report.page import render
from workbench.results.embedding import Embedding


def embedding(n: int) -> tuple[wb.PointCloud, Embedding]:
    """Blobs with the row table that a capture of a text network has: a text stands behind each of its tokens."""
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(3000)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(max(1, n // 12))]
    which = np.minimum(np.arange(n) // 12, len(texts) - 1)
    table = pd.DataFrame(
        {
            "text_id": which,
            "text": np.array(texts, dtype=object)[which],
            "token": rng.choice(np.array(words, dtype=object), n),
            "position": np.arange(n) % 12,
            "label": np.array(list("abcdef"), dtype=object)[which % 6],
        }
    )
    at = rng.standard_normal((8, 2))[which % 8] * 4 + rng.standard_normal((n, 2))
    cloud = wb.PointCloud(at.astype(np.float32), name="blobs", table=table)
    return cloud, Embedding(
        values=cloud.values, ids=cloud.ids, title=f"{n:,} points", space=cloud.space, rows=table
    )


def page(n: int, path: Path) -> float:
    """Write a report of one explorer; return how long that took."""
    cloud, placed = embedding(n)
    explorer = widgets.explore(cloud, method=placed, color="label")
    began = time.perf_counter()
    output = new_output("display_data", data=explorer._repr_mimebundle_())
    notebook = new_notebook(cells=[new_code_cell("explorer", outputs=[output])])
    path.write_text(render(notebook, FACTS), encoding="utf-8")
    return time.perf_counter() - began


VIEW = "document.querySelector('[data-painter]')"
LAB = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    "import measure, widgets\n"
    "cloud, placed = measure.embedding({n}); print('made')",
    "explorer = widgets.explore(cloud, method=placed, color='label'); explorer",
    "print('kernel', len(explorer.selection))",
)


# milliseconds from an event to the second frame after the view has said what comes of it
TIMED = """([what, act, until]) => new Promise((done) => {
  const node = document.querySelector(what), began = performance.now();
  const look = new MutationObserver(() => {
    look.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
  });
  look.observe(document.querySelector(until), { childList: true, subtree: true, characterData: true });
  new Function("node", act)(node);
})"""
SEARCH, SAID = ".wbp input[type=search]", ".wbp [role=status]"
FOUND = ".wbp-chosen button"
FACET = '.wbp-facet[data-column="{}"] > {}'


def typed(tab: Any, words: str) -> float:
    act = f"node.value = {words!r}; node.dispatchEvent(new Event('input', {{ bubbles: true }}))"
    return tab.evaluate(TIMED, [SEARCH, act, SAID])


def filtered(tab: Any) -> str:
    """Search for a word, a part of many words and a row's number, select what is found, colour by another column."""
    searches: dict[str, list[float]] = {"word123": [], "ord1": [], "4321": []}
    for words, took in searches.items():
        for _ in range(3):
            took.append(typed(tab, words))
            typed(tab, "")
    typed(tab, "word12")
    selecting = tab.evaluate(TIMED, [FOUND, "node.click()", SAID])
    act = "node.value = 'token'; node.dispatchEvent(new Event('change', { bubbles: true }))"
    colouring = tab.evaluate(TIMED, [".wbp-bar select", act, ".wbp-key"])
    found = ", ".join(f"{words} {sorted(took)[1]:.0f}" for words, took in searches.items())
    tab.evaluate(TIMED, [".wbp-chosen button:nth-of-type(2)", "node.click()", SAID])
    filters = []  # by a value, a range, and both values, of two columns; each narrows what is there
    for column, part, act in (
        ("label", "button:nth-of-type(1)", "node.click()"),
        ("text_id", ".wbp-range input", "node.value = '100'; node.dispatchEvent(new Event('change'))"),
        ("label", "button:nth-of-type(2)", "node.click()"),
        ("position", "button:nth-of-type(3)", "node.click()"),
    ):
        filters.append(tab.evaluate(TIMED, [FACET.format(column, part), act, SAID]))
    tab.evaluate(TIMED, [".wbp-chosen button:nth-of-type(2)", "node.click()", SAID])
    filtering = ", ".join(f"{took:.0f}" for took in filters)
    return (
        f"filtered {filtering} ms, found after {found} ms (150 of them for the next key), selected {selecting:.0f}, "
        f"coloured {colouring:.0f} ms"
    )


def panned(tab: Any, seconds: float = 2.0) -> str:
    """Drag the view to and fro; count the frames that were drawn meanwhile."""
    tab.locator(".wbp button", has_text="Move").first.click()
    box = tab.locator(".wbp-stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 5, y)
    drawn = int(tab.evaluate(f"{VIEW}.dataset.drawn"))
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        steps += 1
        tab.mouse.move(x + 60 * np.sin(steps / 9), y + 40 * np.cos(steps / 9))
    took = time.perf_counter() - began
    frames = int(tab.evaluate(f"{VIEW}.dataset.drawn")) - drawn
    tab.mouse.up()
    return f"{frames / took:.0f} frames/s while it is dragged ({steps / took:.0f} moves/s)"


def touched(tab: Any) -> str:
    """Draw a lasso and zoom; say how long the browser took."""
    frame = tab.evaluate(f"{VIEW}.dataset.frame")
    began = time.perf_counter()
    draw_around(tab, tab.locator(".wbp-stage"), 0.1, 0.5)
    tab.wait_for_function(f"{VIEW}.dataset.lasso > 0", timeout=120_000)
    drawn = time.perf_counter() - began
    lasso, selected = (tab.evaluate(f"{VIEW}.dataset.{name}") for name in ("lasso", "selected"))
    before = int(tab.evaluate(f"{VIEW}.dataset.drawn"))
    began = time.perf_counter()
    for _ in range(10):
        tab.locator(".wbp button", has_text="+").click()
    tab.wait_for_function(f"{VIEW}.dataset.drawn > {before}", timeout=60_000)
    tab.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    zoom = (time.perf_counter() - began) / 10
    return (
        f"a whole frame {frame} ms, lasso {lasso} ms after the button is let go ({selected} rows; drawing it and all "
        f"{drawn:.2f} s), zoom {1000 * zoom:.0f} ms a step, {panned(tab)}, {filtered(tab)}"
    )


def measure_page(browser: Any, n: int, folder: Path) -> str:
    path = folder / f"{n}.html"
    wrote = page(n, path)
    tab = browser.new_page(viewport={"width": 1366, "height": 900})
    began = time.perf_counter()
    tab.goto(path.as_uri())
    tab.wait_for_function(f"{VIEW}?.dataset.drawn > 0", timeout=120_000)
    opened = time.perf_counter() - began
    tab.wait_for_timeout(1500)
    said = touched(tab)
    painter = tab.evaluate(f"{VIEW}.dataset.painter")
    tab.close()
    size = path.stat().st_size / 1e6
    return f"page, {n:>9,} points ({painter}): {size:.1f} MB, written in {wrote:.1f} s, open in {opened:.2f} s, {said}"


def measure_lab(browser: Any, n: int, folder: Path) -> str:
    cells = tuple(c.replace("{n}", str(n)) for c in LAB)
    with serve(folder, cells, folder / "cache") as address:
        tab = browser.new_page(viewport={"width": 1366, "height": 1400})
        tab.goto(address)
        tab.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        tab.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        run = "window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')"
        tab.evaluate(run)
        tab.wait_for_selector("text=made", timeout=120_000)
        began = time.perf_counter()
        tab.evaluate(f"{run}; 0")
        tab.wait_for_function(f"{VIEW}?.dataset.drawn > 0", timeout=120_000)
        opened = time.perf_counter() - began
        tab.wait_for_timeout(3000)
        said = touched(tab)
        tab.wait_for_timeout(2000)
        tab.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
        began = time.perf_counter()
        tab.evaluate(f"{run}; 0")
        tab.wait_for_selector(f"text=kernel {tab.evaluate(f'{VIEW}.dataset.selected')}", timeout=60_000)
        heard = time.perf_counter() - began
        tab.close()
    return (
        f"lab,  {n:>9,} points: first frame {opened:.2f} s after the cell is run, {said}, "
        f"the kernel says how many {heard:.2f} s later"
    )


def main() -> None:
    from playwright.sync_api import sync_playwright

    sizes = list(map(int, sys.argv[1:] or ["10000"]))
    with sync_playwright() as playwright:
        for off in ([], ["--disable-gpu", "--disable-3d-apis"]):  # the second has no WebGL at all
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS + off)
            for n in sizes:
                with tempfile.TemporaryDirectory() as folder:
                    print(measure_page(browser, n, Path(folder)), flush=True)
                    if not off:
                        print(measure_lab(browser, n, Path(folder)), flush=True)
            browser.close()


if __name__ == "__main__":
    main()
