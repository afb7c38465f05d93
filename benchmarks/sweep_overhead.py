"""Measure what a sweep costs beside running its notebook one by one, each run a kernel of its own, nothing cached.

.venv/bin/python benchmarks/sweep_overhead.py [ROUNDS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

SIZES = (60, 70, 80, 90, 100, 110)
SWEEP = "n=" + ",".join(map(str, SIZES))


def timed(folder: Path, *commands: list[str]) -> float:
    """Seconds that these commands take, one after another, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "WORKBENCH_CACHE": cache}
        began = time.perf_counter()
        for command in commands:
            subprocess.run(
                [sys.executable, "-m", "workbench.cli", *command],
                cwd=folder,
                env=env,
                check=True,
                capture_output=True,
            )
        return time.perf_counter() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cells = [
        new_code_cell("n = 60", metadata={"tags": ["parameters"]}),
        new_code_cell("import workbench as wb\nwb.pca(wb.circle(n=n, noise=0.1, dimensions=4))"),
    ]
    took: dict[str, list[float]] = {"one by one": [], "--jobs 1": [], "--jobs 2": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            nbformat.write(new_notebook(cells=cells), folder / "small.ipynb")
            reports = [
                ["report", "small.ipynb", "-p", "n", str(n), "-o", f"alone/{n}/small.html"] for n in SIZES
            ]
            took["one by one"].append(timed(folder, *reports))
            for jobs in ("1", "2"):
                sweep = ["sweep", "small.ipynb", "-p", SWEEP, "--jobs", jobs, "-o", f"jobs-{jobs}"]
                took[f"--jobs {jobs}"].append(timed(folder, sweep))
    for how, seconds in took.items():
        print(f"{len(SIZES)} runs, {how}: {min(seconds):.1f} to {max(seconds):.1f} s of {rounds} rounds")


if __name__ == "__main__":
    main()
