"""The explorer in JupyterLab: filters reach the kernel, the view outlives a closed tab, and a layout comes before its control."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chromium_for_tests import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = (
    "import time\nfrom dataclasses import replace\nfrom pathlib import Path\n"
    "import numpy as np, pandas as pd, workbench as wb, widgets\n"
    "from workbench.core.early import show_early\n"
    "from workbench.core.registry import analysis\n"
    "from workbench.results.embedding import Embedding\n"
    "from workbench.results.estimate import Estimate\n"
    "from workbench.subjects.points import Points\n"
    "i = np.arange(300)\n"
    "frame = pd.DataFrame({'a': i % 17, 'b': i / 7, 'digit': i % 10, 'kind': np.array(['x', 'y', 'z'])[i % 3]})\n"
    "placed = widgets.explore(frame, x='a', y='b', color='kind'); placed",
    "@analysis\n"
    "def steady(points: Points) -> Embedding:\n"
    "    '''Place the rows; the control takes until a file is there.'''\n"
    "    placed = Embedding(values=points.values, ids=points.ids)\n"
    "    show_early(placed)\n"
    "    for step in range(600):\n"
    "        time.sleep(0.1)\n"
    "        if Path('go').exists():\n"
    "            break\n"
    "    return replace(placed, evidence=Estimate.example().evidence)\n"
    "early = widgets.explore(np.random.default_rng(0).standard_normal((200, 2)), method='steady'); early",
    "print('kernel', len(placed.selection), [f['name'] for f in placed.view.look['filters']], early.work.running, "
    "len(early.result.evidence), early.method.disabled)",
)
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def opened(browser: Any, address: str) -> Any:
    page = watched(browser.new_page(viewport={"width": 1366, "height": 2000}), address.split("/lab/")[0])
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_function(IDLE, timeout=90_000)
    return page


def run(page: Any, cell: int) -> str:
    """Run a cell; return what its last output says."""
    page.evaluate(f"window.jupyterapp.shell.currentWidget.content.activeCellIndex = {cell}")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_timeout(300)
    page.wait_for_function(IDLE, timeout=120_000)
    said = page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output").last
    return re.sub(r"\s+", " ", said.inner_text()).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explorer-lab")


@pytest.fixture(scope="module")
def address(lab: Callable[..., Any], folder: Path) -> Iterator[str]:
    with lab(folder, CELLS, folder / "cache") as address:
        yield address


def test_filters_reach_the_kernel_and_outlive_a_closed_tab_and_a_layout_comes_before_its_control(
    browser: Any, address: str, folder: Path
) -> None:
    page = opened(browser, address)
    run(page, 0)
    page.wait_for_selector(".wbp-facet")
    page.locator('.wbp-facet[data-column="digit"] > button').nth(3).press("Enter")
    where = page.get_by_label("where", exact=True)
    where.fill("a > 4")
    where.press("Enter")
    i = np.arange(300)
    chosen = i[(i % 10 == 3) & (i % 17 > 4)]
    page.wait_for_function(f"document.querySelector('[data-drawn]').dataset.selected === '{len(chosen)}'")
    with page.expect_download() as download:
        page.get_by_role("button", name="Parquet", exact=True).click()
    table = pd.read_parquet(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert table.index.tolist() == chosen.tolist()
    assert table["kind"].tolist() == np.array(["x", "y", "z"])[chosen % 3].tolist()
    page.get_by_role("button", name="Code", exact=True).click()
    told = page.locator(".wbp-code").inner_text()
    assert "explorer = widgets.explore(frame, x='a', y='b', color='kind')" in told
    assert "chosen = explorer.subject.select([13, 23," in told  # of coordinates, which the row table hasn't
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert page.problems == []
    page.close()
    again = opened(browser, address)
    again.wait_for_selector(".wbp-facet")
    again.wait_for_function(f"document.querySelector('[data-drawn]').dataset.selected === '{len(chosen)}'")
    pressed = again.locator('.wbp-facet[data-column="digit"] > button').nth(3).get_attribute("aria-pressed")
    assert pressed == "true"
    run(again, 1)
    again.wait_for_selector(
        "text=/no control yet/"
    )  # the cell has ended, and its points are there to be looked at
    drawn = again.locator(".wbp", has_text="no control yet")
    drawn.wait_for()
    drawn.get_by_label("search", exact=True).fill("17")
    drawn.locator("tbody tr").first.wait_for()
    assert run(again, 2) == f"kernel {len(chosen)} ['digit'] True 0 True"
    (folder / "go").touch()
    again.wait_for_function(
        "![...document.querySelectorAll('.wbp-title')].some(e => e.textContent.includes('no control yet'))"
    )
    drawn = again.locator(".wbp").last
    assert drawn.locator("tbody tr").count() == 1, "what was looked at stays as it was"
    assert run(again, 2) == f"kernel {len(chosen)} ['digit'] False 1 False"
    assert again.problems == []
    again.close()
