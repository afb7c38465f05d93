"""A comparison of cells: verdicts of what was measured, and trials that a kill doesn't lose."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import ParameterError
from workbench.numerics.geometry.training import USUAL, Trial, refusal
from workbench.report.geometry import _kept, _place, compare, judged

SEEDS = 4


def measured(bits: dict[tuple[str, str, str], float], spread: float) -> list[tuple[Trial, dict[str, float]]]:
    """Trials whose bits are a cell's and a seed's, with so much that is neither's."""
    rng = np.random.default_rng(0)
    of_seed = rng.normal(size=SEEDS)
    return [
        (
            Trial(*cell, seed=seed),
            {"bits": b + of_seed[seed] + spread * rng.normal(), "steps": 10, "tokens": 100}
            | {"seconds": 2.0, "memory": 1e6},
        )
        for cell, b in bits.items()
        for seed in range(SEEDS)
    ]


def test_verdicts_are_paired_by_seed_and_corrected() -> None:
    cells = {USUAL: 2.0, **{(kind, "adamw", "cosine"): 2.0 for kind in ("gauge", "braid", "fractal")}}
    cells[("quaternion", "adamw", "cosine")], cells[("octonion", "adamw", "cosine")] = 1.9, 2.1
    cells[("tropical", "adamw", "cosine")] = float("nan")
    why = {("reversible", "hoss", "cosine"): "no second derivatives"}
    found = judged(measured(cells, 0.005), why)
    verdict = found.cells.set_index("mechanism")["verdict"].to_dict()
    assert verdict["standard"] == "usual" and verdict["reversible"] == "refused"
    assert verdict["quaternion"] == "better" and verdict["octonion"] == "worse"
    assert verdict["tropical"] == "worse"  # it diverged
    assert {verdict[kind] for kind in ("gauge", "braid", "fractal")} == {"no difference"}
    row = found.cells.set_index("mechanism").loc["quaternion"]
    assert row["difference_low"] < -0.1 < row["difference_high"] < 0 and row["corrected"] > row["p"]
    assert row["tokens_per_second"] == 50 and row["memory_mb"] == 1
    assert row["bits_high"] - row["bits_low"] > 1  # unpaired, seeds are all that is seen
    assert found.ranking().table()["name"].iloc[0].startswith("quaternion")


def test_what_cannot_be_trained_is_refused_with_the_reason() -> None:
    assert "second derivatives" in refusal(Trial("reversible", "hoss"))
    assert "heads=1" in refusal(Trial("octonion", width=16, heads=4))
    with pytest.raises(ParameterError, match=r"no kind .gage.*gauge"):
        compare(["gage"])
    with pytest.raises(ParameterError, match="3 or more"):
        compare(["standard"], seeds=2)
    with pytest.raises(ParameterError, match="The usual cell can't be trained"):
        compare(["standard"], width=9, heads=2)


def test_a_damaged_or_foreign_file_is_no_trial(tmp_path: Path) -> None:
    trial = Trial()
    place = _place(tmp_path, trial)
    assert _kept(tmp_path, trial) is None and place != _place(tmp_path, Trial(steps=151))
    for text in ("", "[]", '{"trial": {}, "found": {"nats": 1}}', '{"found": 3}'):
        place.write_text(text)
        assert _kept(tmp_path, trial) is None


@pytest.mark.slow
def test_after_a_kill_it_goes_on_from_what_was_done(tmp_path: Path) -> None:
    sizes = {
        "steps": 2,
        "width": 8,
        "layers": 1,
        "heads": 2,
        "length": 8,
        "texts": 1,
        "jobs": 1,
        "text": "language",
    }
    how = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    asked = ["geometry", "compare", "--kinds", "standard,octonion", *how, "-o", str(tmp_path), "--json"]
    command, trials = [sys.executable, "-m", "workbench.cli", *asked], tmp_path / "trials"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not list(trials.glob("*.json")):
            assert first.poll() is None
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
    before = {p: p.stat().st_mtime_ns for p in trials.glob("*.json")}
    assert 1 <= len(before) < 3
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    assert [row["verdict"] for row in said["cells"]] == ["usual", "refused"]
    assert len(list(trials.glob("*.json"))) == 3 and len(pd.read_parquet(tmp_path / "trials.parquet")) == 3
    assert (tmp_path / "comparison.html").read_text().startswith("<!doctype html>")
