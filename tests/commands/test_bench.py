"""``workbench bench``: the list, a small measurement, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.benchmarks.catalogue import ALL

Run = Callable[..., tuple[int, str, str]]


def test_measurements_are_listed(run: Run) -> None:
    code, out, _ = run("bench", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(ALL)
    assert all(b.about in out and b.about.endswith(".") for b in ALL.values())
    assert [b["name"] for b in json.loads(run("bench", "--list", "--json")[1])] == list(ALL)


def test_a_small_measurement_is_shown_and_kept(run: Run) -> None:
    np.save("rows.npy", np.random.default_rng(0).normal(size=(2000, 5)))
    ask = ("bench", "spectral", "--device", "cpu", "--scale", "0.02", "--repeats", "2", "--rows", "rows.npy")
    code, out, err = run(*ask, "--out", "kept.json")
    assert code == 0
    assert err == ""
    assert "scikit-learn" in out
    assert "× ours" in out
    assert "cuML" in out
    assert "skipped: needs a GPU" in out
    kept = json.loads(Path("kept.json").read_text())
    assert kept["tables"][0]["name"] == "spectral"
    found = json.loads(run(*ask, "--json")[1])
    assert {e["who"] for e in found["entries"]} == {"ours", "cuML", "scikit-learn"}


def test_refusals_come_before_any_work(run: Run) -> None:
    code, _, err = run("bench", "spectrum")
    assert code == 4
    assert "spectral" in err
    assert run("bench", "spectral", "--rows", "none.npy")[0] == 4
    assert run("bench", "spectral", "--scale", "0")[0] == 2
    code, _, err = run("bench", "spectral", "--out", "kept.txt")
    assert code == 2
    assert ".json" in err
