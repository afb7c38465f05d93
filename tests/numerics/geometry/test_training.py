"""A trial: as many steps as cost what the usual cell's do, and plays whose held-out pieces nothing is trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.numerics.geometry.text import HELD_OUT, Plays
from workbench.numerics.geometry.training import Trial, flops_of_a_step, run

SMALL: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2, "length": 16, "texts": 2, "steps": 12}


def test_cells_have_as_many_steps_as_cost_the_same() -> None:
    usual, other = run(Trial(**SMALL)), run(Trial("octonion", **SMALL))
    assert usual["steps"] == 12 and other["steps"] == round(12 * usual["flops"] / other["flops"]) < 12
    assert run(Trial("octonion", equal="tokens", **SMALL))["steps"] == 12
    assert usual["bits"] == pytest.approx(usual["nats"] / np.log(2)) and usual["bits"] < 8.5
    again = run(Trial(**SMALL))
    assert {n: v for n, v in again.items() if n not in ("seconds", "memory")} == {
        n: v for n, v in usual.items() if n not in ("seconds", "memory")
    }


def test_an_optimizers_own_products_are_counted() -> None:
    adamw, muon, hoss = (flops_of_a_step(Trial(optimizer=o, **SMALL)) for o in ("adamw", "muon", "hoss"))
    assert adamw < muon < hoss and hoss > 10 * adamw


def test_plays_that_are_held_out_are_not_trained_on() -> None:
    plays, rng = Plays.read(), np.random.default_rng(0)
    assert len(plays.plays) == 8 and set(HELD_OUT) < plays.plays.keys()
    trained = b"\f".join(p.tobytes() for title, p in plays.plays.items() if title not in HELD_OUT)
    apart = plays.held_out(20, 64, rng).astype(np.uint8)
    assert not any(piece.tobytes() in trained for piece in apart)
    assert all(piece.tobytes() in trained for piece in plays.written(20, 64, rng).astype(np.uint8))
    assert np.array_equal(apart, plays.held_out(20, 64, np.random.default_rng(1)))
    assert max(p.max() for p in plays.plays.values()) < 128
