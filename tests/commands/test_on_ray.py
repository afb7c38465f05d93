"""Sweeps and weighing on a real Ray cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from notebooks_for_tests import notebook
from safetensors.numpy import save_file

pytest.importorskip("ray", reason="Ray isn't installed: pip install 'workbench[ray]'")

sys.path.insert(0, str(Path(__file__).parent))
from ray_cluster_for_tests import Cluster, Node, cluster

PROGRAM = [sys.executable, "-m", "workbench.cli"]
WEIGHTS = [*PROGRAM, "weights"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def there() -> Iterator[Cluster]:
    """A cluster of one node; each test adds the one that it kills."""
    with cluster() as there:
        there.join()
        yield there


def busy(node: Node, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if node.kernels():
            return True
        time.sleep(0.1)
    return False


def test_a_node_that_is_killed_costs_no_result_of_a_sweep(
    tmp_path: Path, cache: Path, there: Cluster
) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "import time\ntime.sleep(wait if k < 2 else 0)",
        "import workbench as wb\nwb.pca(wb.circle(n=60 + k), n_null=19, n_boot=9)",
        "if k == 3:\n    raise ValueError('asked to')",
        parameters="k = 0\nwait = 3",
    )
    lost, kept = there.join(), there.nodes[1]
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


def test_a_sweep_without_a_cluster_at_the_address_says_what_starts_one(tmp_path: Path) -> None:
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


def at_work(node: Node) -> bool:
    """Whether one of its processes answers: Ray names each by what it does."""
    for process in node.tree():
        try:
            if "ray::_answer" in " ".join(process.cmdline()):
                return True
        except psutil.Error:
            continue
    return False


def test_weights_are_the_same_as_in_one_process_though_a_node_is_killed(
    tmp_path: Path, there: Cluster
) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"layers.{i}.mlp.up_proj.weight": rng.standard_normal((900, 700)) for i in range(10)}
    save_file({n: x.astype(np.float32) for n, x in tensors.items()}, tmp_path / "net.safetensors")
    options = ["net.safetensors", "--n-null", "99", "--json"]
    kept = {"WORKBENCH_CACHE": str(tmp_path / "kept")}
    lost = there.join()
    driver = subprocess.Popen(
        [*WEIGHTS, *options, "--ray", there.address],
        env={**there.env, **kept},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 90
    while not at_work(lost) and time.monotonic() < until:
        time.sleep(0.05)
    assert at_work(lost), "the node was given nothing"
    assert driver.poll() is None
    lost.kill()
    out, err = driver.communicate(timeout=180)
    assert driver.returncode == 0, err
    assert len(list((tmp_path / "kept" / "results").iterdir())) == 11  # each matrix, and the whole
    here = subprocess.run(
        [*WEIGHTS, *options],
        env={**os.environ, "WORKBENCH_NO_CACHE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out)["matrices"] == json.loads(here.stdout)["matrices"]
    # what was weighed there is known here
    again = subprocess.run(
        [*WEIGHTS, *options, "--ray", "127.0.0.1:1"],
        env={**os.environ, **kept},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout)["matrices"] == json.loads(out)["matrices"]


def test_weights_without_a_cluster_say_what_starts_one(tmp_path: Path) -> None:
    save_file({"w": np.ones((8, 8), np.float32)}, tmp_path / "net.safetensors")
    done = subprocess.run(
        [*WEIGHTS, "net.safetensors", "--ray", "127.0.0.1:1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4 and "ray start --head" in done.stderr and "Traceback" not in done.stderr
