"""Activation rank: layers that pass on what they are given, whose rank is known; null and intervals measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent
from torch import nn

import workbench as wb
from workbench.core.errors import ViewError
from workbench.core.evidence import Evidence
from workbench.numerics.spectra import fewer_columns


def identity(d: int) -> nn.Linear:
    layer = nn.Linear(d, d, bias=False)
    nn.init.eye_(layer.weight)
    return layer


def of_inputs(x: np.ndarray, **parameters: object):
    d = hand_made_descent(
        nn.Sequential(identity(x.shape[1])), x.astype(np.float32), np.zeros(len(x)), "output"
    )
    asked = {"n_null": 0, "n_boot": 0, "device": "cpu", **parameters}
    return wb.activation_rank.function(d.view(wb.activation_rank.inputs[0].takes), **asked)


@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio"])
def test_known_answer_so_many_equal_directions(measure: str) -> None:
    """Corners of a cross: equal spread in k directions about their mean."""
    for k in (1, 4):
        x = 7 + np.repeat(np.concatenate([np.eye(6)[:k], -np.eye(6)[:k]]), 3, axis=0)
        assert of_inputs(x, measure=measure).y[0, 0] == pytest.approx(k, rel=1e-5)


def test_known_answer_a_linear_network_learns_mode_by_mode() -> None:
    """Of a deep linear network the rank of the answers grows from one mode to the next, and ends with their number."""
    found = wb.activation_rank(
        wb.linear_descent(modes=(4.0, 2.0), initial=1e-4, steps=800),
        layers="1",
        measure="effective_rank",
        max_steps=50,
        n_null=0,
        n_boot=0,
    )
    ended = found.y[-1, 0]
    p = np.array([4, 2]) / 6
    assert ended == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=0.15)  # less what centring takes
    assert found.y[:, 0].min() < 1.2


def test_peer_scikit_learns_components() -> None:
    from sklearn.decomposition import PCA

    d = wb.digits_descent(width=6, depth=1, steps=30)
    found = wb.activation_rank(d, max_steps=1, measure="participation_ratio", n_null=0, n_boot=0)
    x, _ = d.probe.tensors()
    network = d.network(30)
    for j, part in enumerate((1, 2, 3)):
        with torch.no_grad():
            rows = network[:part](x).numpy().astype(float)
        values = PCA(svd_solver="full").fit(rows).explained_variance_
        assert found.y[0, j] == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-4)


def test_fewer_columns_have_the_same_products() -> None:
    x = np.random.default_rng(0).standard_normal((7, 30))
    small = fewer_columns(x)
    assert small.shape == (7, 7)
    np.testing.assert_allclose(small @ small.T, x @ x.T, atol=1e-10)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    def p_value(seed: int) -> float:
        x = np.random.default_rng(seed).standard_normal((20, 6)) ** 3
        return of_inputs(x, n_null=19, random_state=seed).evidence[0].p_value

    assert_calibrated(p_value, runs=120)


def test_units_that_do_the_same_are_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1)) + 0.3 * rng.standard_normal((60, 8))
    assert of_inputs(x, n_null=19).evidence[0].p_value == 0.05


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says() -> None:
    scale = 1 / np.arange(1, 9)
    found = [
        of_inputs(np.random.default_rng(seed).standard_normal((80, 8)) * scale, n_boot=60)
        for seed in range(80)
    ]
    mean = np.mean([f.y[0, 0] for f in found])
    held = sum(f.low[0, 0] <= mean <= f.high[0, 0] for f in found)
    assert held >= 70, held


def changed(last: np.ndarray, x: np.ndarray) -> Evidence:
    """How the rank of a linear map's answers changes when it becomes another, beside the units' own spread."""
    network = nn.Sequential(identity(x.shape[1]))
    steps = {0: network.state_dict(), 9: {"0.weight": torch.tensor(last, dtype=torch.float32)}}
    d = hand_made_descent(network, x.astype(np.float32), np.zeros(len(x)), "output", steps)
    return wb.activation_rank(d, n_null=99, n_boot=20, device="cpu").evidence_of("change", "0")


def test_a_change_is_told_from_what_the_units_spread_alone_makes_of_it() -> None:
    """Units that fade one after another bring the control down as far; units that become alike don't."""
    x = np.random.default_rng(0).standard_normal((80, 6))
    fading = changed(np.diag(0.5 ** np.arange(6)), x)
    assert fading.value < -2
    assert fading.p_value > 0.1
    assert np.median(fading.null_values) == pytest.approx(fading.value, abs=0.3)
    alike = changed(0.3 * np.eye(6) + 0.7 / 6, x)
    assert alike.value < -0.5
    assert alike.p_value == 0.02
    assert alike.value < np.median(alike.null_values) and "each unit's values" in alike.null


def test_many_layers_are_thinned_and_said() -> None:
    network = nn.Sequential(*(identity(4) for _ in range(12)))
    d = hand_made_descent(
        network, np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32), np.zeros(9), "output"
    )
    found = wb.activation_rank(d, n_null=0, n_boot=0)
    assert len(found.names) == 8
    assert found.names[0] == "layer 0"
    assert found.names[-1] == "layer 11"
    assert "8 of 12 layers" in found.caveat
    assert wb.activation_rank(d, layers="1*", n_null=0, n_boot=0).names == ("layer 1", "layer 10", "layer 11")


def test_refuses_a_network_without_layers() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))
            self.inner = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x @ self.w)

    d = hand_made_descent(Bare(), np.ones((6, 3), np.float32), np.ones(6), "mse")
    with pytest.raises(ViewError, match="no activations"):
        wb.activation_rank(d)
