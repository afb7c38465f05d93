"""`workbench weights --ray` on a real cluster of two nodes, one of which is killed while it weighs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

pytest.importorskip("ray", reason="Ray isn't installed: pip install 'workbench[ray]'")

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from ray_cluster_for_tests import Node, cluster

WEIGHTS = [sys.executable, "-m", "workbench.cli", "weights"]
pytestmark = pytest.mark.slow


def at_work(node: Node) -> bool:
    """Whether one of its processes answers: Ray names each by what it does."""
    for process in node.tree():
        try:
            if "ray::_answer" in " ".join(process.cmdline()):
                return True
        except psutil.Error:
            continue
    return False


def test_same_answers_as_in_one_process_though_a_node_is_killed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"layers.{i}.mlp.up_proj.weight": rng.standard_normal((900, 700)) for i in range(10)}
    save_file({n: x.astype(np.float32) for n, x in tensors.items()}, tmp_path / "net.safetensors")
    options = ["net.safetensors", "--n-null", "99", "--json"]
    kept = {"WORKBENCH_CACHE": str(tmp_path / "kept")}
    with cluster() as there:
        lost, _ = there.join(), there.join()
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


def test_no_cluster_is_said_with_what_starts_one(tmp_path: Path) -> None:
    save_file({"w": np.ones((8, 8), np.float32)}, tmp_path / "net.safetensors")
    done = subprocess.run(
        [*WEIGHTS, "net.safetensors", "--ray", "127.0.0.1:1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4 and "ray start --head" in done.stderr and "Traceback" not in done.stderr
