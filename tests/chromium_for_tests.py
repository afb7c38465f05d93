"""What the browser tests share: how Chromium is started, a JupyterLab, and what a hand does in a page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parent.parent
FACTS: dict[str, Any] = {  # of a page that a test renders itself
    "notebook": "page.ipynb",
    "notebook_digest": "",
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 0.0,
    "parameters": {},
    "versions": {"workbench": "0"},
    "results": [],
    "findings": None,
}
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def watched(page: Any, allowed: str) -> Any:
    """Note in ``page.problems`` what is logged as an error, and what is requested from elsewhere than ``allowed``."""
    page.problems = []
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: page.problems.append(str(e)))

    def asked(request: Any) -> None:
        if not request.url.startswith((allowed, "data:", "blob:")):
            page.problems.append(request.url)

    page.on("request", asked)
    return page


def draw_around(page: Any, stage: Any, left: float = 0.02, right: float = 0.98) -> None:
    """Draw a lasso from ``left`` to ``right`` (shares of the width), as high as the stage."""
    stage.scroll_into_view_if_needed()
    page.wait_for_timeout(150)
    box = stage.bounding_box()
    x, y, w, h = (box[side] for side in ("x", "y", "width", "height"))
    at = [(x + w * u, y + h * v) for u, v in ((left, 0.02), (right, 0.02), (right, 0.98), (left, 0.98))]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in [*at[1:], at[0]]:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()


@contextmanager
def serve(folder: Path, cells: tuple[str, ...], cache: Path) -> Iterator[str]:
    """Run a JupyterLab that shows a notebook with these cells; give its address."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(
        new_notebook(cells=[new_code_cell(c) for c in cells], metadata=kernel), folder / "live.ipynb"
    )
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "WORKBENCH_CACHE": str(cache),
    }
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.root_dir={folder}",
    ]
    with (folder / "lab.log").open("w") as log:
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
