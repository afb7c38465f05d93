"""Recordings that are killed at random moments: what is left opens and is right, and going on comes to the same end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Children are forked from one process that has loaded everything, so that a kill takes a second and not ten.
HARNESS = """
import json, os, pathlib, signal, sys, time
import numpy as np, torch, workbench as wb
from torch.nn import functional as F
from workbench.core.errors import MissingError
from workbench.recording import open_recording, recorder

torch.set_num_threads(1)
recorder.SECONDS = 0.1
recorder.SOON = 0.02
root, kills, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
STEPS = 40
X = torch.randn(32, 5, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def train(folder, slow):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    how = dict(weights_at=1, optimizer_state=True, probe=(X, Y), loss="mse")
    with wb.record(model, optimizer, to=folder, resume=True, **how) as run:
        for step in range(run.restore(), STEPS):
            optimizer.zero_grad()
            loss = F.mse_loss(model(X), Y)
            loss.backward()
            optimizer.step()
            run.log(loss)
            time.sleep(slow)


def child(*arguments):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        train(*arguments)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


train(root / "whole", 0.0)
whole = wb.open(root / "whole", name="x")
rows, weights = whole.table, {s: {n: a.copy() for n, a in whole.state(s).items()} for s in whole.weight_steps}
rng = np.random.default_rng(seed)
counts = {"kills": 0, "empty": 0, "finished": 0, "rows": [], "wrong": []}
for i in range(kills):
    folder = root / str(i)
    for _ in range(rng.integers(1, 3)):  # some are killed again while they go on
        pid = child(folder, 0.01)
        time.sleep(rng.uniform(0, 0.7) * rng.choice([0.1, 1.0]))
        os.kill(pid, signal.SIGKILL)
        counts["kills" if os.waitpid(pid, 0)[1] == signal.SIGKILL else "finished"] += 1
        try:
            left = open_recording(folder)
        except MissingError:
            counts["empty"] += 1
            continue
        counts["rows"].append(len(left))
        if not left.table.equals(rows.iloc[: len(left)]):
            counts["wrong"].append(f"rows of {i}")
        for s in left.weight_steps:
            if not all(np.array_equal(a, weights[s][n]) for n, a in left.state(s).items()):
                counts["wrong"].append(f"weights of {i} at {s}")
    if os.waitpid(child(folder, 0.0), 0)[1] != 0:
        counts["wrong"].append(f"{i} doesn't go on")
    elif wb.open(folder, name="x").digest != whole.digest:
        counts["wrong"].append(f"{i} ended otherwise")
print(json.dumps(counts))
"""


def killed(folder: Path, kills: int, seed: int = 0) -> dict[str, object]:
    """Kill that many recordings, and go on with each."""
    ran = subprocess.run(
        [sys.executable, "-c", HARNESS, str(folder), str(kills), str(seed)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
def test_recordings_that_are_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    counts = killed(tmp_path, 10)
    assert counts["wrong"] == []
    assert counts["kills"] >= 10 and max(counts["rows"]) > min(counts["rows"])  # type: ignore[call-overload]
