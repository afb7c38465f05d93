"""Gradient rank: gradients that are the inputs themselves, so that their rank is known; null and intervals measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.objectives import Probe
from workbench.numerics.per_sample import sample_gradients, subset
from workbench.numerics.spectra import effective_rank, gram_rank

MEASURES = ("effective_rank", "participation_ratio")


def of_inputs(x: np.ndarray, **parameters: object):
    """A linear network that averages its output has its inputs as gradients."""
    network = nn.Linear(x.shape[1], 1, bias=False)
    d = hand_made_descent(network, x.astype(np.float32), np.zeros(len(x)), "output")
    asked = {"n_null": 0, "n_boot": 0, "device": "cpu", **parameters}
    return wb.gradient_rank.function(d.view(wb.gradient_rank.inputs[0].takes), **asked)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("k", [1, 3, 12])
def test_known_answer_so_many_equal_directions(measure: str, k: int) -> None:
    x = np.eye(12)[np.arange(36) % k] * np.array([1.0, -1.0])[np.arange(36) // 12 % 2][:, None]
    assert of_inputs(x, measure=measure).y[0, 0] == pytest.approx(k, rel=1e-6)


def test_known_answer_unequal_directions() -> None:
    """Singular values 3 and 1: squares 9 and 1."""
    x = np.zeros((8, 5))
    x[0, 0], x[1, 1] = 3, 1
    assert of_inputs(x, measure="participation_ratio").y[0, 0] == pytest.approx(100 / 82)
    p = np.array([0.75, 0.25])
    assert of_inputs(x).y[0, 0] == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert of_inputs(np.zeros((8, 5))).y[0, 0] == 0


def test_peer_gradients_one_by_one_and_numpys_singular_values() -> None:
    d = wb.digits_descent(width=6, depth=1, steps=30)
    found = wb.gradient_rank(d, max_steps=1, max_samples=300, n_null=0, n_boot=0)
    network = d.network(30)
    rows = []
    for i in range(len(d.probe)):
        network.zero_grad()
        subset(d.probe, np.array([i])).evaluate(network).backward()
        rows.append([p.grad.numpy().copy().ravel() for p in network.parameters()])
    first = np.array([np.concatenate(r[:2]) for r in rows], np.float64)
    last = np.array([np.concatenate(r[2:]) for r in rows], np.float64)
    for j, block in enumerate((np.hstack([first, last]), first, last)):
        s = np.linalg.svd(block, compute_uv=False)
        assert found.y[0, j] == pytest.approx(effective_rank(s), rel=1e-3)
        assert gram_rank(block @ block.T, "participation_ratio") == pytest.approx(
            (s**2).sum() ** 2 / (s**4).sum()
        )
    assert found.names == ("all layers", "layer 0", "layer 2")


def test_a_network_that_vmap_cannot_follow_is_taken_one_by_one() -> None:
    class Deciding(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum().item() > -1e9 else x

    rng = np.random.default_rng(0)
    probe = Probe(rng.standard_normal((9, 4)).astype(np.float32), rng.integers(0, 3, 9), "cross_entropy")
    slow, plain = Deciding(4, 3), nn.Linear(4, 3)
    plain.load_state_dict(slow.state_dict())
    one, all_at_once = (sample_gradients(n, probe, ["weight", "bias"]) for n in (slow, plain))
    assert one.one_by_one
    assert not all_at_once.one_by_one
    for name in ("weight", "bias"):
        np.testing.assert_allclose(one.by_name[name], all_at_once.by_name[name], atol=1e-6)
    d = hand_made_descent(slow, probe.x, probe.y)
    assert "one by one" in wb.gradient_rank(d, n_null=0, n_boot=0).caveat


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Inputs of independent entries with signs at random are what the null says."""

    def p_value(seed: int) -> float:
        x = np.random.default_rng(seed).standard_normal((16, 10)) * np.linspace(0.1, 3, 10)
        return of_inputs(x, n_null=19, random_state=seed).evidence[0].p_value

    assert_calibrated(p_value, runs=120)


def test_what_samples_have_in_common_is_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30)) + 0.1 * rng.standard_normal((40, 30))
    assert of_inputs(x, n_null=19).evidence[0].p_value == 0.05


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_the_interval_covers_as_often_as_it_says(measure: str) -> None:
    """What as many samples give on average lies in the interval of 95 in 100 draws of samples, or more."""
    scale = 1 / np.arange(1, 11)
    found = [
        of_inputs(np.random.default_rng(seed).standard_normal((60, 10)) * scale, measure=measure, n_boot=60)
        for seed in range(80)
    ]
    mean = np.mean([f.y[0, 0] for f in found])
    held = sum(f.low[0, 0] <= mean <= f.high[0, 0] for f in found)
    assert held >= 70, held


def test_refusals() -> None:
    d = wb.digits_descent(width=4, depth=1, steps=3)
    with pytest.raises(ParameterError, match=r"layers='5'.*matches no layer"):
        wb.gradient_rank(d, layers="5")
    probe = Probe(np.ones((3, 64), np.float32), np.zeros(3, int), "cross_entropy")
    with pytest.raises(DataError, match="3 samples"):
        wb.gradient_rank(d.with_probe(probe.x, probe.y, probe.loss))
    large = nn.Linear(60_000, 60_000, device="meta")
    probe = Probe(np.ones((8, 60_000), np.float32), np.zeros(8, int), "cross_entropy")
    with pytest.raises(DataError, match="Lower max_samples"):
        sample_gradients(large, probe, ["weight"])
