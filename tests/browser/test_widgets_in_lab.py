"""The widgets in JupyterLab, as a person meets them: run a panel, draw a lasso, with no network but the server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
IDLE = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
CELLS = (
    "import numpy as np, pandas as pd, workbench as wb, widgets\n"
    "rows = np.random.default_rng(0).standard_normal((2, 80, 6)).astype('float32')\n"
    "table = pd.DataFrame({'kind': np.repeat(['a', 'b'], 40)})\n"
    "acts = wb.Activations({'first': rows[0], 'last': rows[1]}, table, name='layers')\n"
    "panel = widgets.panel('pca', acts); panel",
    "view = widgets.explore(acts, color='kind'); view",
    "print('selected', len(view.selection), 'answers', len(panel.results))",
)


@pytest.fixture
def lab(tmp_path: Path, cache: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows a notebook with the cells."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(
        new_notebook(cells=[new_code_cell(c) for c in CELLS], metadata=kernel), tmp_path / "live.ipynb"
    )
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "WORKBENCH_CACHE": str(cache),
    }
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=",
               "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}"]  # fmt: skip
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=env, stdout=log, stderr=log
        )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api").close()
                break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/lab/tree/live.ipynb"
    finally:
        server.terminate()
        server.wait(30)


def test_a_panel_runs_and_a_lasso_selects(lab: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 2400})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(lab)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_function(IDLE, timeout=90_000)
    run_all = "window.jupyterapp.commands.execute('notebook:run-all-cells')"
    page.evaluate(run_all)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    assert page.locator("text=selected 0 answers 0").count() == 1

    run = page.locator("button.widget-button", has_text="Run")
    run.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length == 2", timeout=120_000)
    page.wait_for_selector("text=Do 2 components explain more", timeout=60_000)

    box = page.locator(".js-plotly-plot").last.locator(".nsewdrag").first.bounding_box()
    at = [
        (box["x"] + box["width"] * u, box["y"] + box["height"] * v)
        for u, v in ((0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98))
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in [*at[1:], at[0]]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    page.wait_for_selector("text=rows selected", timeout=30_000)
    assert page.locator("text=80 rows selected").count() == 1
    assert not [url for url in asked if not url.startswith((lab.split("/lab/")[0], "data:", "blob:"))]
    page.close()
