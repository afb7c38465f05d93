"""The figure before its control, as a person sees it in JupyterLab: in a cell, and in a panel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import draw_around, watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = (
    "import time\nfrom dataclasses import replace\nfrom pathlib import Path\n"
    "import numpy as np, workbench as wb, widgets\n"
    "from workbench.core.early import show_early\n"
    "from workbench.core.progress import tell\n"
    "from workbench.core.registry import analysis\n"
    "from workbench.results.embedding import Embedding\n"
    "from workbench.results.estimate import Estimate\n"
    "from workbench.subjects.points import Points\n"
    "@analysis\n"
    "def steady(points: Points) -> Embedding:\n"
    "    '''Place the rows; the control takes until a file is there.'''\n"
    "    placed = Embedding(values=points.values, ids=points.ids)\n"
    "    show_early(placed)\n"
    "    for step in range(600):\n"
    "        tell('steady: null', step, 600)\n"
    "        time.sleep(0.1)\n"
    "        if Path('go').exists():\n"
    "            break\n"
    "    return replace(placed, evidence=Estimate.example().evidence)\n"
    "cloud = wb.PointCloud(np.random.default_rng(0).standard_normal((200, 2)), name='cloud')\n"
    "cloud.digest; print('ready')",
    "print('printed before')\nsteady(cloud)",
    "panel = widgets.panel(steady, cloud.sample(150)); panel",
)
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
TITLES = "[...document.querySelectorAll('.js-plotly-plot .gtitle')].map(e => e.textContent)"
FIGURE = "[...document.querySelectorAll('.js-plotly-plot')].at(-1)"
RANGE = f"{FIGURE}._fullLayout.xaxis.range"
LIT = f"({FIGURE}._fullData[0].selectedpoints || []).length"


def command(page: Any, name: str) -> None:
    page.evaluate(f"window.jupyterapp.commands.execute({name!r}); 0")


@pytest.fixture(scope="module")
def page(lab: Callable[..., Any], browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, its first cell run; ``page.folder`` is where it lies."""
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder, CELLS, folder / "cache") as address:
        page = watched(browser.new_page(viewport={"width": 1366, "height": 2000}), address.split("/lab/")[0])
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        page.wait_for_function(IDLE, timeout=90_000)
        command(page, "notebook:run-cell-and-select-next")
        page.wait_for_selector("text=ready", timeout=120_000)
        page.folder = folder
        yield page
        assert page.problems == []
        page.close()


def finish(page: Any, *, on: bool) -> None:
    """Let controls end, or take as long as they like."""
    go = Path(page.folder) / "go"
    go.touch() if on else go.unlink(missing_ok=True)


def test_a_cell_shows_the_figure_first_and_keeps_the_finished_one(page: Any) -> None:
    command(page, "notebook:run-cell-and-select-next")
    page.wait_for_selector("text=no control yet: it is being computed", timeout=60_000)
    assert len(page.evaluate(TITLES)) == 1
    finish(page, on=True)
    page.wait_for_function(f"{TITLES}.join() === 'Steady of cloud'", timeout=60_000)
    page.wait_for_function(IDLE, timeout=60_000)
    command(page, "docmanager:save")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    saved = json.loads((Path(page.folder) / "live.ipynb").read_text())
    printed, early, result, saving = saved["cells"][1]["outputs"]
    assert printed["text"] == ["printed before\n"]
    assert early["data"] == {}
    assert "no control yet" not in json.dumps(result) and "text/html" in saving["data"]


def ask(page: Any) -> None:
    page.locator("button.widget-button", has_text="Run").press("Enter")


def test_cancel_keeps_the_figure_and_claims_nothing(page: Any) -> None:
    finish(page, on=False)
    command(page, "notebook:run-cell-and-select-next")
    ask(page)
    page.wait_for_selector("text=its control is being computed", timeout=60_000)
    page.wait_for_selector("text=/steady: null: .* of 600/", timeout=10_000)
    page.locator("button.widget-button:visible", has_text="Cancel").click()
    page.wait_for_selector("text=nothing about it was tested", timeout=10_000)
    page.wait_for_function(f"{TITLES}.at(-1).includes('no control yet')")
    assert not page.get_by_text("Is there anything?").count()


def test_a_panel_completes_its_figure_as_it_is_looked_at(page: Any) -> None:
    ask(page)
    page.wait_for_selector("text=its control is being computed", timeout=60_000)
    page.wait_for_function(f"{FIGURE}?._fullLayout")
    figure = page.locator(".js-plotly-plot").last
    figure.hover()
    draw_around(page, figure.locator(".nsewdrag").first, 0.2, 0.5)
    page.wait_for_function(f"{LIT} > 10")
    whole = page.evaluate(RANGE)
    figure.locator('[data-title="Zoom in"]').click()
    page.wait_for_function(f"{RANGE}[1] < {whole[1] - 1}")
    zoomed, lit = page.evaluate(RANGE), page.evaluate(LIT)
    page.wait_for_timeout(500)  # the kernel hears of it
    finish(page, on=True)
    page.wait_for_selector("text=Is there anything?", timeout=60_000)
    page.wait_for_function(f"!{TITLES}.join().includes('no control yet')")
    # to a few pixels: the labels of the other axis may take another width
    page.wait_for_function(f"{RANGE}.every((v, i) => Math.abs(v - {zoomed}[i]) < 0.05)")
    page.wait_for_function(f"{LIT} === {lit}")
    assert not page.get_by_text("no control yet").count()
