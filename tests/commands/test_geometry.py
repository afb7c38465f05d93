"""``workbench geometry``: a network is trained, kept and certified; a broken promise and a wrong name are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.numerics.attention.tropical import Tropical
from workbench.numerics.geometry.text import Plays
from workbench.numerics.geometry.training import held_out_loss

Run = Callable[..., tuple[int, str, str]]
SIZES = ("--steps=2", "--width=16", "--layers=1", "--heads=2", "--length=12", "--texts=2", "--text=plays")


def test_a_kind_is_trained_kept_and_certified(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("geometry", "train", "tropical", *SIZES, "--out", "made")
    assert code == 0 and "geometry certify made" in out
    gpt = wb.open("made").network().module  # type: ignore[union-attr]
    pieces = torch.from_numpy(Plays.read().held_out(32, 12, np.random.default_rng(0)))
    assert f"{held_out_loss(gpt, pieces):.3f} nats a token of texts that it wasn't trained on" in out
    assert json.loads(Path("made/config.json").read_text())["vocabulary"] == 256
    code, out, _ = run("geometry", "certify", "made")
    assert code == 0 and "holds" in out and "Layer 0: a winner stays" in out
    whole = Tropical.forward
    monkeypatch.setattr(Tropical, "forward", lambda self, x, state=None: whole(self, x.flip(1), state))
    code, out, _ = run("geometry", "certify", "made", "--json")
    said = json.loads(out)
    assert code == 1 and not said["holds"] and not said["checks"][0]["holds"]


def test_wrong_names_are_told(run: Run) -> None:
    assert run("geometry", "train", "gage", "--out", "x")[0] == 2
    code, _, err = run("geometry", "compare", "--kinds", "standard,gage")
    assert code == 2 and "'gage'" in err and "gauge" in err
    assert run("geometry", "certify", "nowhere")[0] == 4
    code, _, err = run("geometry", "train", "octonion", *SIZES, "--heads", "4", "--out", "x")
    assert code == 2 and "multiple of 8" in err
    assert not Path("x").exists()
