"""Runs on a real Ray cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from notebooks_for_tests import notebook

pytest.importorskip("ray", reason="Ray isn't installed: pip install 'workbench[ray]'")

sys.path.insert(0, str(Path(__file__).parent))
from ray_cluster_for_tests import Node, cluster

PROGRAM = [sys.executable, "-m", "workbench.cli"]
pytestmark = pytest.mark.slow


def busy(node: Node, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if node.kernels():
            return True
        time.sleep(0.1)
    return False


def test_a_node_that_is_killed_costs_no_result(tmp_path: Path, cache: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "import time\ntime.sleep(wait if k < 2 else 0)",
        "import workbench as wb\nwb.pca(wb.circle(n=60 + k), n_null=19, n_boot=9)",
        "if k == 3:\n    raise ValueError('asked to')",
        parameters="k = 0\nwait = 3",
    )
    with cluster() as there:
        lost, kept = there.join(), there.join()
        command = [
            *PROGRAM,
            "sweep",
            str(path),
            "-p",
            "k=0..4",
            "--ray",
            there.address,
            "-o",
            str(tmp_path / "out"),
            "--json",
        ]
        driver = subprocess.Popen(
            command, env=there.env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert busy(lost, 60), "no run began on the node"
        lost.kill()
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 7, err
        said = json.loads(out)
        assert (said["done"], said["failed"]) == (4, 1), said
        assert "asked to" in "".join(said["errors"].values())
        assert kept.process.poll() is None
    runs = {p.name.rpartition("-")[0]: p for p in (tmp_path / "out" / "runs").iterdir()}
    assert sorted(runs) == ["k=0", "k=1", "k=2", "k=3", "k=4"]
    assert (runs["k=3"] / "report.failed.ipynb").exists()
    for k in (0, 1, 2, 4):
        facts = json.loads((runs[f"k={k}"] / "manifest.json").read_text())["reports"]["report.html"]
        assert facts["results"][0]["evidence"][0]["n"] == 60 + k
    # what was done there is known here
    here = [*PROGRAM, "sweep", str(path), "-p", "k=0,1,2,4", "-o", str(tmp_path / "out"), "--json"]
    again = subprocess.run(here, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["skipped"] == 4


def test_no_cluster_at_the_address_is_said_with_what_starts_one(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "n")
    done = subprocess.run(
        [*PROGRAM, "sweep", str(path), "-p", "n=1,2", "--ray", "127.0.0.1:1", "-o", str(tmp_path / "out")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "ray start --head" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
