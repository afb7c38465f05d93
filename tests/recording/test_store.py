"""A recording survives a kill, goes on, and refuses what is missing or damaged by name."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, StorageError
from workbench.recording import codecs, open_recording
from workbench.recording.layout import with_check

Make = Callable[..., Any]

LOOP = """
import sys, time, torch, workbench as wb
from torch.nn import functional as F
from workbench.recording import recorder, writing
recorder.SECONDS = writing.SECONDS = 0.2
folder, steps, slow = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
torch.manual_seed(0)
x = torch.randn(32, 5); y = x.sum(1, keepdim=True)
model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
import pathlib
going_on = (pathlib.Path(folder) / "recording.json").exists()
with wb.record(model, optimizer, to=folder, weights_at=1, optimizer_state=True, resume=going_on) as run:
    first = run.restore() if going_on else 0
    print("from", first, flush=True)
    for step in range(first, steps):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        run.log(loss)
        print(step, flush=True)
        time.sleep(slow)
"""


def loop(folder: Path, steps: int, slow: float) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", LOOP, str(folder), str(steps), str(slow)],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )


@pytest.mark.slow
def test_a_killed_recording_is_kept_and_gone_on_with_to_the_same_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed = loop(folder, 100_000, 0.01)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.strip() == "60":
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    kept = wb.open(folder)
    assert isinstance(kept, wb.Trajectory)
    assert 0 < len(kept) <= 61
    assert f"unfinished: steps after {kept.steps[-1]} weren't stored" in kept.outcome
    last = kept.weight_steps[-1]
    again = loop(folder, 70, 0.0)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0 and said.split("\n")[0] == f"from {last}"

    whole = loop(tmp_path / "whole", 70, 0.0)
    whole.communicate(timeout=60)
    a, b = wb.open(folder, name="x"), wb.open(tmp_path / "whole", name="x")
    assert a.steps.tolist() == list(range(70)) and a.outcome == ""
    assert a.digest == b.digest  # to the last bit, as if nobody had killed it
    np.testing.assert_array_equal(a.weights(70)["0.weight"], b.weights(70)["0.weight"])


def test_going_on_from_an_earlier_step_supersedes_what_came_after(problem: Make, tmp_path: Path) -> None:
    p = problem()
    p.record(10, to=tmp_path / "run", weights_at=1)
    first = wb.open(tmp_path / "run").table["loss"].to_numpy()
    with torch.no_grad():
        for n, q in p.model.named_parameters():
            q.copy_(p.seen[4][n])
    with wb.record(p.model, p.optimizer, to=tmp_path / "run", weights_at=1, resume=True, step=4) as run:
        for _ in range(3):
            p.step(run)
    found = run.trajectory
    assert found.steps.tolist() == list(range(7)) and found.weight_steps.tolist() == list(range(8))
    np.testing.assert_array_equal(found.table["loss"][:4], first[:4])
    assert found.table["loss"][4] == pytest.approx(first[4], rel=0.5)
    np.testing.assert_array_equal(found.weights(7)["0.bias"], p.model[0].bias.detach().numpy())
    with pytest.raises(
        DataError,
        match=r"step=9 would leave steps out.*goes to step 6, so that it can go on from any step up to 7",
    ):
        wb.record(p.model, p.optimizer, to=tmp_path / "run", weights_at=1, resume=True, step=9)


def test_what_was_recorded_beside_a_checkpoint_is_stored_with_it(problem: Make, tmp_path: Path) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer, to=tmp_path / "run", weights_at=1) as run:
        for _ in range(7):
            p.step(run)
        run.flush()
        stored = wb.open(tmp_path / "run")
        assert stored.steps.tolist() == list(range(7)) and stored.table["loss"].notna().all()
        p.step(run)
    assert len(run.trajectory) == 8


def test_a_recording_that_was_killed_before_its_first_row_begins_anew(problem: Make, tmp_path: Path) -> None:
    p = problem()
    folder = tmp_path / "run"
    p.record(3, to=folder, weights_at=1, probe=(p.x, p.y), loss="cross_entropy")
    for pattern in ("steps-*", "weights-*", "attempt-*", "outcome.json", "recording.json"):
        for file in folder.glob(pattern):  # as kills between two files leave it, one after the other
            file.unlink()
        again = problem()
        how = {"weights_at": 1, "probe": (p.x, p.y), "loss": "cross_entropy", "resume": True}
        run = wb.record(again.model, again.optimizer, to=folder, **how)
        assert run.restore() == 0
        run._writer.close()
    again.record(2, to=folder, **how)
    assert wb.open(folder).steps.tolist() == [0, 1]


def test_going_on_without_saying_from_where_follows_the_last_row(problem: Make, tmp_path: Path) -> None:
    p = problem()
    p.record(4, to=tmp_path / "run")
    p.record(3, to=tmp_path / "run", resume=True)
    assert wb.open(tmp_path / "run").steps.tolist() == list(range(7))


def test_another_model_is_not_gone_on_with(problem: Make, tmp_path: Path) -> None:
    p = problem()
    p.record(2, to=tmp_path / "run")
    other = torch.nn.Linear(6, 2)
    with pytest.raises(StorageError, match=r"0.weight is .* there and absent here"):
        wb.record(other, torch.optim.Adam(other.parameters()), to=tmp_path / "run", resume=True)


def test_many_files_of_rows_become_one(
    problem: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recording import recorder

    monkeypatch.setattr(recorder, "ROWS", 4)
    p = problem()
    with wb.record(p.model, p.optimizer, to=tmp_path / "run") as run:
        for i in range(18):
            p.step(run)
            if i > 8:
                run.log(late=i)
    assert len(list((tmp_path / "run").glob("steps-*"))) == 1
    table = run.trajectory.table
    assert table["step"].tolist() == list(range(18))
    np.testing.assert_array_equal(table["loss"], [r["loss"] for r in p.rows])
    assert table["late"].isna().sum() == 9 and table["late"].iloc[-1] == 17


@pytest.fixture
def stored(problem: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording with several files of rows and weights."""
    from workbench.recording import recorder, writing

    monkeypatch.setattr(recorder, "ROWS", 5)
    monkeypatch.setattr(recorder, "SOON", recorder.SECONDS)
    monkeypatch.setattr(writing, "_MERGED", 0)
    monkeypatch.setattr(writing, "TOGETHER", 4000)
    p = problem()
    p.record(20, to=tmp_path / "run", weights_at=1, probe=(p.x, p.y), loss="cross_entropy")
    assert len(list((tmp_path / "run").glob("steps-*"))) == 4
    assert len(list((tmp_path / "run").glob("weights-*"))) > 3
    return tmp_path / "run"


def test_missing_steps_are_refused_by_number(stored: Path) -> None:
    (stored / "steps-0000-0000000005.safetensors").unlink()
    with pytest.raises(DataError, match="misses steps 5 to 9"):
        wb.open(stored)
    (stored / "steps-0000-0000000000.safetensors").unlink()
    with pytest.raises(DataError, match="misses steps 0 to 9"):
        wb.open(stored)


def test_weights_whose_base_is_gone_are_refused(stored: Path) -> None:
    sorted(stored.glob("weights-*"))[1].unlink()
    with pytest.raises(FormatError, match=r"builds on weights of step .*, which are gone"):
        wb.open(stored)


def test_a_changed_byte_of_the_weights_is_found(stored: Path) -> None:
    file = sorted(stored.glob("weights-*"))[2]
    raw = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    trajectory = wb.open(stored)
    whole = {(s, n): a for s in trajectory.weight_steps for n, a in trajectory.state(s).items()}
    refused = 0
    for at in range(start + 3, len(raw), 97):
        changed = bytearray(raw)
        changed[at] ^= 0x10
        file.write_bytes(changed)
        trajectory = wb.open(stored)
        try:
            for step in trajectory.weight_steps:
                for name, array in trajectory.state(step).items():
                    np.testing.assert_array_equal(array, whole[step, name])  # that bit told nothing
        except FormatError as refusal:
            refused += 1
            assert "isn't what was stored" in str(refusal) or "can't be read" in str(refusal)
    assert refused > 0.9 * len(range(start + 3, len(raw), 97))


@pytest.mark.parametrize("name", ["recording.json", "attempt-0000.json", "outcome.json"])
def test_damaged_json_is_refused(stored: Path, name: str) -> None:
    whole = (stored / name).read_text()
    for text in (
        "",
        "{",
        "[]",
        "1",
        whole.replace(":", ";"),
        "[" * 100_000,
        '{"diverged": "yes", "format": 3}',
    ):
        (stored / name).write_text(text)
        with pytest.raises(FormatError, match="can't be opened as a recording"):
            wb.open(stored)


@pytest.mark.parametrize(
    "change",
    [
        {"every": 0},
        {"every": True},
        {"groups": "one"},
        {"tensors": []},
        {"tensors": [["a", [-1], "F32", "parameter"]]},
        {"tensors": [["a", [1], "F99", "parameter"]]},
        {"tensors": [["a", [2**40, 2**40], "F32", "parameter"]]},
        {"loss": "__import__('os')"},
        {"name": None},
        {"about": []},
        {"tensors": [["a", [1], "F32", "parameter"]] * 2},
    ],
)
def test_a_manifest_is_believed_in_nothing(stored: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((stored / "recording.json").read_text())
    del manifest["check"]
    (stored / "recording.json").write_text(json.dumps(with_check({**manifest, **change})))
    with pytest.raises(FormatError, match="can't be opened as a recording"):
        wb.open(stored)


def test_truncated_files_are_refused(stored: Path) -> None:
    for file in (
        *sorted(stored.glob("steps-*"))[:1],
        *sorted(stored.glob("weights-*"))[:1],
        stored / "probe.safetensors",
    ):
        raw = file.read_bytes()
        for n in (0, 4, 9, len(raw) // 2, len(raw) - 1):
            file.write_bytes(raw[:n])
            with pytest.raises(FormatError, match=re.escape(file.name)):
                wb.open(stored)
        file.write_bytes(raw)
    assert len(wb.open(stored)) == 20


def test_a_recording_opens_alike_wherever_it_lies(stored: Path, tmp_path: Path) -> None:
    first = wb.open(stored)
    os.rename(stored, tmp_path / "elsewhere")
    second = open_recording(tmp_path / "elsewhere")
    assert first.digest == second.digest
    assert second.probe is not None and second.probe.loss == "cross_entropy" and len(second.probe) == 64
    with pytest.raises(MissingError, match="is not a recording"):
        open_recording(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_differences_of_whole_numbers_come_back(dtype: type) -> None:
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    a, b = (rng.integers(0, top, 999, dtype, endpoint=True) for _ in range(2))
    a[:3], b[:3] = (0, top, 1), (top, 0, 1)
    before = a.copy()
    folded = codecs.fold(b, a)
    np.testing.assert_array_equal(codecs.unfold(folded, a), b)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(codecs.unpack(codecs.pack(folded), 999, folded.dtype.itemsize), folded)
    assert codecs.fold(a + np.array(1, dtype), a).max() <= 2 or dtype is np.uint8


def test_reading_in_any_order_decodes_each_step_once(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = codecs.unpack
    monkeypatch.setattr(codecs, "unpack", lambda *a: calls.append(1) or real(*a))
    trajectory = wb.open(stored)
    began = time.perf_counter()
    for step in trajectory.weight_steps:
        _ = trajectory.weights(step)["0.weight"]
    assert len(calls) == len(trajectory.weight_steps)
    assert time.perf_counter() - began < 5


def test_the_data_that_it_is_trained_on_are_kept_beside_the_probe_and_count_in_the_digest(
    tmp_path: Path,
) -> None:
    x, y = np.random.default_rng(0).standard_normal((24, 3)), np.arange(24) % 2
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with wb.record(
        model,
        optimizer,
        to=tmp_path / "run",
        probe=(x[:8], y[:8]),
        loss="cross_entropy",
        training=(x[8:], y[8:]),
    ):
        torch.nn.functional.cross_entropy(model(torch.tensor(x[8:])), torch.tensor(y[8:])).backward()
        optimizer.step()
    found = wb.open(tmp_path / "run")
    assert np.array_equal(found.training.x, x[8:]) and np.array_equal(found.training.y, y[8:])
    assert len(found.probe) == 8 and found.training.loss == "cross_entropy"
    other = found.with_training(x[9:], y[9:], "cross_entropy")
    assert other.digest != found.digest and len(other.training) == 15
    with pytest.raises(wb.core.errors.ParameterError, match="training"):
        wb.record(model, optimizer, training=(x, y))
