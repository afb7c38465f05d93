"""Damage of equal length is seen: whatever bit is flipped in whichever file, what is read is what was stored, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import WorkbenchError
from workbench.recording import recorder, writing

Make = Callable[..., Any]
FILES = ("recording", "attempt", "steps", "weights", "probe", "outcome", "bookmarks")


@pytest.fixture
def stored(problem: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that a recording can have, in several files."""
    monkeypatch.setattr(recorder, "ROWS", 3)
    monkeypatch.setattr(writing, "_MERGED", 0)
    p = problem()
    folder = tmp_path / "run"
    how = {"weights_at": 1, "optimizer_state": True, "probe": (p.x, p.y), "loss": "cross_entropy"}
    with wb.record(p.model, p.optimizer, to=folder, **how) as run, wb.bookmark(run, every=2):
        for _ in range(5):
            p.step(run)
    return folder


def content(folder: Path) -> list[Any]:
    """Everything that can be asked of a recording."""
    t = wb.open(folder, kind="trajectory")
    parts: list[Any] = [t.outcome, t.diverged, t.name, dict(t.record.about), list(t.table.columns), t.tensors]
    frames = (t.table, t.gradient_norms, t.update_norms, t.optimizer_table)
    parts += [
        a for f in frames for a in (f.to_numpy(), f.index.to_numpy(), np.array(list(map(str, f.columns))))
    ]
    parts += list(t.probe.arrays().values())
    for step in t.weight_steps:
        parts += [step, t.weight_error(int(step))]
        parts += [part for name, a in t.state(int(step)).items() for part in (name, a)]
        parts += [
            part
            for n, of in sorted(t.record.weights.state(int(step)).items())
            for k in sorted(of)
            for part in (n, k, of[k])
        ]
    for name, marks in t.bookmarks.items():
        parts += [
            name,
            marks.source,
            marks.fraction,
            marks.scope,
            marks.steps,
            dict(marks.shapes),
            *marks.edges,
        ]
    return parts


def same(a: list[Any], b: list[Any]) -> bool:
    def alike(x: Any, y: Any) -> bool:
        if isinstance(x, np.ndarray):
            return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        return bool(x == y)

    return len(a) == len(b) and all(map(alike, a, b))


@pytest.mark.parametrize("kind", FILES)
def test_a_flipped_bit_is_seen(stored: Path, kind: str) -> None:
    whole = content(stored)
    assert same(content(stored), whole)
    files = sorted(f for f in stored.iterdir() if f.name.startswith(kind))
    assert files
    rng = np.random.default_rng(FILES.index(kind))
    refused = 0
    for _ in range(30):
        file = files[rng.integers(len(files))]
        raw = file.read_bytes()
        changed = bytearray(raw)
        at = rng.integers(len(raw))
        changed[at] ^= 1 << rng.integers(8)
        file.write_bytes(changed)
        try:
            assert same(content(stored), whole), f"{file.name}: byte {at} of {len(raw)}"
        except WorkbenchError:
            refused += 1
        file.write_bytes(raw)
    assert refused >= 20  # some bits are of spaces


def test_recordings_from_before_the_digests_open(
    problem: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from safetensors.numpy import load_file, save_file

    p = problem()
    p.record(4, to=tmp_path / "run", weights_at=[], probe=(p.x, p.y), loss="cross_entropy")
    whole = content_of_rows(tmp_path / "run")
    for file in (tmp_path / "run").glob("*.json"):
        held = json.loads(file.read_text())
        del held["check"]
        file.write_text(
            json.dumps({**held, **({"format": "workbench recording 1"} if "format" in held else {})})
        )
    for pattern in ("steps-*", "probe.*"):
        for file in (tmp_path / "run").glob(pattern):
            save_file({k: a.copy() for k, a in load_file(file).items()}, file)
    np.testing.assert_array_equal(content_of_rows(tmp_path / "run"), whole)
    p.record(2, to=tmp_path / "run", weights_at=[], probe=(p.x, p.y), loss="cross_entropy", resume=True)
    assert len(wb.open(tmp_path / "run")) == 6


def content_of_rows(folder: Path) -> np.ndarray:
    return wb.open(folder, kind="trajectory").table.to_numpy()
