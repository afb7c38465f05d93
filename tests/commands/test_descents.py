"""Descents at the command line: trained, kept, opened again and asked about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import workbench as wb

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--steps", 30, "--width", 4, "--depth", 1)


def test_a_descent_is_kept_and_asked_about(run: Run) -> None:
    code, out, _ = run("run", "digits-descent", *SMALL, "--out", "kept")
    assert code == 0 and "a descent of 30 steps" in out and "Kept in kept" in out
    assert isinstance(wb.open("kept"), wb.Trajectory)
    code, out, _ = run("run", "pca", "kept", "--n-null", 9, "--n-boot", 9, "--json")
    assert code == 0 and json.loads(out)["evidence"][0]["n"] == len(wb.open("kept").weight_steps)
    code, out, _ = run("run", "singular-values", "kept", "--at", "30/0.weight", "--n-null", 9)
    assert code == 0 and "30/" not in out.split("\n")[0]


def test_what_is_no_step_is_refused(run: Run) -> None:
    run("run", "digits-descent", *SMALL, "--out", "kept")
    for at, said in (
        ("0.weight", "takes STEP or STEP/TENSOR"),
        ("23/0.weight", "no weights at step 23"),
        ("30/x", "no tensor 'x'"),
    ):
        code, _, err = run("run", "singular-values", "kept", "--at", at)
        assert code in (2, 4) and said in err


def test_a_descents_place_is_a_folder_of_its_own(run: Run) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    code, _, err = run("run", "digits-descent", *SMALL, "--out", "mine")
    assert code != 0 and "give a folder of its own" in err
    assert [p.name for p in Path("mine").iterdir()] == ["notes.txt"]
