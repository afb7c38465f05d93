"""Cache, doctor, lab and report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from notebooks_for_tests import notebook

from workbench.commands import doctor
from workbench.commands.notebooks import provide
from workbench.core import cache as kept

Run = Callable[..., tuple[int, str, str]]
PROGRAM = [sys.executable, "-m", "workbench.cli"]
FEW = ("--n-null", "9", "--n-boot", "9")
ROOT = Path(__file__).parent.parent.parent


def test_the_cache_is_shown_and_pruned(run: Run) -> None:
    for seed in range(3):
        run("run", "pca", "circle", *FEW, "--random-state", seed)
    code, out, _ = run("cache", "list", "--json")
    assert code == 0
    assert len(json.loads(out)["entries"]) == 3
    size = json.loads(out)["entries"][0]["bytes"]
    assert {(e["method"], e["subject"]) for e in json.loads(out)["entries"]} == {("pca", "circle")}
    assert "3 entries" in run("cache", "list")[1]
    assert re.search(r"pca +circle +[\d.]+ KB +[\d.]+ s ago", run("cache", "list")[1])
    assert "Removed 0" in run("cache", "prune", "--older-than", "1h")[1]
    assert "Removed 1" in run("cache", "prune", "--keep", f"{2.5 * size / 1000}KB")[1]
    assert len(kept.entries()) == 2
    assert "Removed 2" in run("cache", "prune", "--all")[1]
    assert kept.entries() == []


def test_doctor_says_what_is_here(run: Run) -> None:
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["ready"] else 1)
    assert found["ready"] == all(p["problem"] is None for p in found["packages"] if p["required"])
    assert {"numpy", "torch", "umap-learn", "giotto-tda"} <= {p["name"] for p in found["packages"]}
    assert found["memory"] > found["memory_free"] > 0
    assert found["device"]["kind"] in ("cpu", "cuda")
    assert str(found["cores"]) in run("doctor")[1]


def test_doctor_says_how_to_get_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", "no-such-package>=1", "numpy; python_version < '3'"]
    monkeypatch.setattr(doctor, "_requirements", lambda: wanted)
    code, out, _ = run("doctor")
    assert code == 1
    assert "does not meet >=999" in out
    assert "python -m pip install 'no-such-package>=1'" in out


def test_doctor_names_the_versions_that_are_locked() -> None:
    locked = re.findall(r"^[\w-]+==[\w.]+", (ROOT / "requirements-nodeps.lock").read_text(), re.M)
    commands = " ".join(how for _, how in doctor.OPTIONAL.values())
    assert locked
    for pin in locked:
        assert f"--no-deps {pin}" in commands


def test_the_notebooks_are_provided_and_never_overwritten(run: Run) -> None:
    folder = Path("notebooks")
    assert folder / "atlas.ipynb" in provide(folder)
    (folder / "atlas.ipynb").write_text("mine")
    assert provide(folder) == []
    assert (folder / "atlas.ipynb").read_text() == "mine"


def test_lab_hands_its_arguments_to_jupyterlab(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*PROGRAM, "lab", "--version"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.strip() == version("jupyterlab")
    assert (tmp_path / "notebooks" / "atlas.ipynb").is_file()


@pytest.mark.parametrize(
    "typed", [("-p", "n=7", "-p", "word=b c"), ("-p", "n", 7, "--parameter", "word", "b c")]
)
def test_report_runs_a_notebook_with_typed_values(run: Run, typed: tuple[object, ...]) -> None:
    notebook(Path("small.ipynb"), "# Small", "print(f'{n} {word}')", parameters="n = 1\nword = 'a'")
    code, out, _ = run("report", "small.ipynb", *typed, "-o", "out/page.html")
    assert code == 0
    assert "page.html" in out
    assert "7 b c" in Path("out/page.html").read_text(encoding="utf-8")


def test_a_log_gets_a_line_of_progress_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from workbench.commands import console
    from workbench.core.progress import track

    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress():
        list(track(range(9), "a null"))
    assert capsys.readouterr().err.splitlines() == [
        "   12 s  a null: 2 of 9, about 30 s left",
        "   24 s  a null: 5 of 9, about 16 s left",
        "   36 s  a null: 8 of 9, about 4 s left",
    ]
