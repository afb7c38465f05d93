"""Unit pruning: units that hardly do anything leave first, whatever their weights; the ways are compared with chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets_of_units_for_tests import net, of
from torch import nn
from torch.nn.utils import prune

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.exact.fewer_units import activations, hidden_layers, scores, without
from workbench.numerics.exact.reading import program_of
from workbench.numerics.exact.simplifying import module_of


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def loud_but_idle() -> nn.Sequential:
    """8 of 16 units have large weights and are (almost) never on: magnitude keeps them, their effect is nothing."""
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((16, 6)), np.zeros(16)
    w[8:], b[8:] = 10 * w[8:], -1000
    return of(w, b, rng.standard_normal((4, 16)), np.zeros(4))


def test_known_answer_of_idle_units() -> None:
    told = wb.unit_pruning(wb.open(loud_but_idle()), n_samples=500, n_null=39)
    effect, magnitude = told.evidence_of("lost_by_effect"), told.evidence_of("lost_by_magnitude")
    assert effect.value < 1e-9 and effect.p_value == 1 / 40
    assert magnitude.value > 0.3 and magnitude.p_value > 0.5  # it takes out all that do something
    assert told.y[0].tolist() == [0, 0] and (np.diff(told.y[:, 0]) > -1e-9).all()


def test_peer_torch_prune_chooses_the_same_units() -> None:
    a = net(6, 16, 4)
    with torch.no_grad():
        a[0].bias.zero_()
        a[2].weight[:] = a[2].weight / a[2].weight.norm(
            dim=0
        )  # then magnitude is that of the incoming weights
    program = program_of(a)
    ((at, score),) = scores(program, np.random.default_rng(0).standard_normal((50, 6)))["magnitude"].items()
    prune.ln_structured(a[0], "weight", amount=5, n=2, dim=0)
    gone = (a[0].weight_mask.sum(dim=1) == 0).nonzero().ravel().tolist()
    assert sorted(np.argsort(score)[:5].tolist()) == gone and at == (1, 3)


def test_a_unit_is_replaced_by_its_mean() -> None:
    a = net(3, 5, 2)
    program, x = program_of(a), np.random.default_rng(0).standard_normal((400, 3))
    (layer,) = hidden_layers(program)
    values = activations(program, x)
    fewer = without(program, {layer: np.array([1, 4])}, {layer: values[layer].mean(axis=0)})
    given = torch.as_tensor(x, dtype=torch.float32)
    small = module_of(fewer)
    assert small[0].out_features == 3
    torch.testing.assert_close(small(given).mean(dim=0), a(given).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_units_that_are_alike_are_seldom_told_apart() -> None:
    """Directions of one length, in and out: choosing any of them is choosing at random."""
    rejected = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        w, v = (np.linalg.qr(rng.standard_normal((10, 10)))[0] for _ in range(2))
        told = wb.unit_pruning(
            wb.open(of(w, np.zeros(10), v, np.zeros(10))), n_samples=100, n_null=19, random_state=seed
        )
        rejected += sum(told.evidence_of(f"lost_by_{way}").p_value <= 0.05 for way in ("effect", "magnitude"))
    assert rejected <= 7  # of 40; 8 or more come once in 1,000 at 5 %


def test_what_has_no_hidden_layer_is_refused() -> None:
    with pytest.raises(DataError, match="no hidden layer"):
        wb.unit_pruning(wb.open(nn.Sequential(nn.Linear(3, 2))))
