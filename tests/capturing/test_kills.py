"""Killed again and again at random moments: captures and kept answers lose nothing, and the last run equals one that was left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("WORKBENCH_TEST_KILLS", "10"))
LEADER = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np, torch
import workbench as wb
from workbench.capturing import writing

def work(cache):
    os.environ["WORKBENCH_CACHE"] = str(cache)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64))
    x = np.random.default_rng(0).normal(size=(1500, 8)).astype(np.float32)
    acts = wb.capture(module, x, batch_size=4)
    answer = wb.pca(acts.at("2"), n_null=3, n_boot=3)
    return [acts.digest, answer.digest]

def stored(cache):
    return {str(f.relative_to(cache)): f.read_bytes().hex() for f in cache.rglob("*") if f.is_file() and f.name != "result.json"}

def batches_that_are_safe(cache):
    journals = list(cache.glob("captures/*.partial/journal"))
    lines = [line for journal in journals for line in journal.read_text().split("\\n")[:-1]]
    done = list(cache.glob("captures/*/manifest.json")) and 375
    return done or max((int(line.split()[0]) for line in lines), default=0)

writing.SYNC_SECONDS = 0.01
folder, kills = Path(sys.argv[1]), int(sys.argv[2])
work(folder / "warm")
begun = time.monotonic()
expected = work(folder / "whole")
whole = time.monotonic() - begun
rng = np.random.default_rng(0)
safe, ended = [], 0
for kill in range(kills):
    cache = folder / f"killed {kill // 5}"  # so that there are kills at the beginning too
    child = os.fork()
    if child == 0:
        work(cache)
        os._exit(0)
    time.sleep(rng.uniform(0, whole / 2))
    os.kill(child, signal.SIGKILL)
    ended += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    safe.append((kill // 5, batches_that_are_safe(cache)))
caches = sorted(folder.glob("killed *"))
answers = [work(cache) for cache in caches]
print(json.dumps({
    "equal": [answer == expected for answer in answers],
    "same files": [stored(cache) == stored(folder / "whole") for cache in caches],
    "safe": safe, "ended": ended, "seconds": whole,
}))
"""


@pytest.mark.slow
def test_captures_and_answers_that_are_killed_lose_nothing_and_end_equal(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LEADER, str(tmp_path), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["equal"] == told["same files"] == [True] * ((KILLS + 4) // 5)
    for (group, before), (next_group, after) in zip(told["safe"], told["safe"][1:], strict=False):
        assert group != next_group or before <= after  # what was safe stays so
    assert told["ended"] < KILLS
    assert any(0 < batches < 375 for _, batches in told["safe"])
