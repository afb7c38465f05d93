"""Make the pictures that README.md shows, from JupyterLab, a report and a sweep as they are now. Run by hand:

.venv/bin/python tests/browser/screenshots.py            # all of them, into docs/
.venv/bin/python tests/browser/screenshots.py report     # one
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from chromium_for_tests import FLAGS, ROOT, draw_around, serve
from PIL import Image
from playwright.sync_api import sync_playwright

from workbench.report import report
from workbench.report.sweeps.sweep import sweep

WIDTH = 1200
MOST = 200_000  # bytes of a picture
OPENED = (
    "import widgets, workbench as wb\n"
    'acts = wb.capture(wb.open("minilm"), wb.corpus("default", max_texts=400), at="encoder.layer.*")\n'
    "acts = acts.select(\"token not in ['[CLS]', '[SEP]']\").sample(1500)\n"
    'layer = acts.at("encoder.layer.5")',
)
EXPLORED = (
    *OPENED,
    "maps, clusters = wb.aligned_umap(acts), wb.spectral_clustering(layer)\n"
    "explorer = widgets.explore(acts, method=maps, color='topic')\n"
    "explorer.add(clusters)\n"
    "explorer",
)
ASKED = (*OPENED, 'widgets.panel("persistence", layer)')
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
DRAWN = "document.documentElement.dataset.drawn === 'yes'"


def keep(page: Any, name: str) -> Path:
    """Take the picture and write it as small as it gets."""
    return written(page.screenshot(animations="disabled"), name)


def written(png: bytes, name: str) -> Path:
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, 2 * WIDTH))
    path = ROOT / "docs" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )  # a third of the size, and looks alike
    size = path.stat().st_size
    print(f"docs/{path.name}: {picture.width} x {picture.height}, {size / 1000:.0f} kB", flush=True)
    if size > MOST:
        raise SystemExit(f"{path.name} is larger than {MOST / 1000:.0f} kB.")
    return path


def check(page: Any) -> None:
    """Stop where a cell failed, rather than wait for what it would have shown."""
    failed = page.locator(
        ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"
    ).all_inner_texts()
    if failed:
        raise SystemExit(failed[0])


def opened(browser: Any, address: str, height: int) -> Any:
    """A notebook in JupyterLab without the columns at its sides, run once and scrolled to its last cell."""
    page = browser.new_page(viewport={"width": WIDTH, "height": height})
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_function(IDLE, timeout=90_000)
    page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.get_by_role("button", name="No", exact=True).click()  # of whether to be notified about news
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_timeout(2000)
    return page


def at_last(page: Any) -> None:
    """Scroll to the last cell, and let no field or cell have the focus."""
    page.evaluate(
        "(n => n.scrollToItem(n.widgets.length - 1, 'start'))(window.jupyterapp.shell.currentWidget.content)"
    )
    page.mouse.move(WIDTH - 4, 4)
    page.wait_for_timeout(800)


def explorer(browser: Any, folder: Path) -> None:
    with serve(folder, EXPLORED, folder / "cache") as address:
        page = opened(browser, address, 1500)
        page.wait_for_function(IDLE, timeout=400_000)
        check(page)
        page.wait_for_function("document.querySelector('[data-painter]')?.dataset.drawn > 0", timeout=60_000)
        page.wait_for_selector(".js-plotly-plot .barlayer", timeout=60_000)
        at_last(page)
        page.locator(".wbp input[type=range]").press("End")
        page.wait_for_timeout(1500)
        draw_around(page, page.locator(".wbp-stage").first, 0.1, 0.45)
        page.wait_for_function("document.querySelector('[data-painter]').dataset.selected > 0")
        at_last(page)
        keep(page, "explore")


def panel(browser: Any, folder: Path) -> None:
    with serve(folder, ASKED, folder / "cache") as address:
        page = opened(browser, address, 1100)
        page.locator("button.widget-button", has_text="Run").click(timeout=120_000)
        page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
        at_last(page)
        keep(page, "panel")


def exported(browser: Any, folder: Path) -> None:
    written = report("atlas", {}, folder / "atlas.html")
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
    page.goto(written.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    stage = page.locator(".wbp-stage").first
    draw_around(page, stage, 0.05, 0.35)
    page.evaluate("document.querySelector('figure.result:has(.wbp)').scrollIntoView()")
    page.mouse.move(4, 4)
    page.wait_for_timeout(800)
    keep(page, "report")


def finding(browser: Any, folder: Path) -> None:
    """The first finding of a report of one's own network, as its button saves it."""
    made = report("minilm", output=folder / "minilm.html")
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
    page.goto(made.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    with page.expect_download() as begun:
        page.locator(".leading .claim").first.get_by_role("button", name="PNG", exact=True).click()
    written(Path(begun.value.path()).read_bytes(), "finding")


def swept(browser: Any, folder: Path) -> None:
    grid = {
        "network": ["minilm", "glassllm-en"],
        "n_neighbors": [8, 15, 30],
        "max_texts": [60],
        "max_rows": [240],
    }
    index = sweep("atlas", grid, folder / "sweep", jobs=2).index
    page = browser.new_page(viewport={"width": WIDTH, "height": 900})
    page.goto(index.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    page.evaluate("document.getElementById('compared').scrollIntoView()")
    page.wait_for_timeout(800)
    keep(page, "sweep")


PICTURES: dict[str, Callable[[Any, Path], None]] = {
    "finding": finding,
    "explore": explorer,
    "panel": panel,
    "report": exported,
    "sweep": swept,
}


def main() -> None:
    names = sys.argv[1:] or list(PICTURES)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("WORKBENCH_CACHE", str(Path(folder) / "cache"))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in names:
            place = Path(folder) / name
            place.mkdir()
            PICTURES[name](browser, place)
        browser.close()


if __name__ == "__main__":
    main()
