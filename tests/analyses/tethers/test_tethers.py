"""One source's tethers are what is known of them, and what is asked of them isn't found in noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated
from planted_for_tests import trajectory, where_magnitude_fails, where_magnitude_is_right
from torch import nn

import workbench as wb
from workbench.core.errors import MissingError, ViewError


def test_known_answer_fisher_of_a_regression_is_its_inputs_second_moment() -> None:
    descent = where_magnitude_is_right()
    result = wb.tethers(descent, source="fisher_true")
    np.testing.assert_allclose(result.values[0], np.square(descent.probe.x).mean(0), rtol=1e-5)
    residual = descent.probe.x @ descent.weights(10)["weight"].T - descent.probe.y
    empirical = wb.tethers(descent, source="fisher").values[0]
    np.testing.assert_allclose(empirical, np.square(residual * descent.probe.x).mean(0), rtol=1e-4)


def test_known_answer_tethers_gather_at_the_units_that_matter_and_repeat() -> None:
    descent, _ = where_magnitude_fails()
    result = wb.tethers(descent, source="fisher")
    _, gathered, repeats = result.evidence
    assert gathered.value > 0.5 and gathered.p_value == pytest.approx(0.01)
    assert repeats.value > 0.8 and repeats.p_value == pytest.approx(0.01)
    assert repeats.interval[0] <= repeats.value <= repeats.interval[1]


def test_known_answer_a_layer_that_moved_alone_has_all_the_tethers() -> None:
    start = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    end = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    end.load_state_dict(start.state_dict())
    with torch.no_grad():
        end[2].weight += 1 + torch.rand(6, 6)
    rng = np.random.default_rng(0)
    descent = trajectory(
        end, rng.standard_normal((8, 6)).astype(np.float32), np.zeros(8, int), "cross_entropy", start
    )
    shares = [
        wb.tethers(descent, source="movement", layer=f"{i}.weight", fraction=0.25).evidence[0] for i in (0, 2)
    ]
    assert [s.value for s in shares] == [0, 1]
    assert all(s.p_value == pytest.approx(0.02) for s in shares)


def test_peer_autograd_gives_the_same_fisher() -> None:
    descent = wb.digits_descent(width=6, depth=1, steps=30)
    net = descent.network(30)
    x, y = descent.probe.tensors(net)
    expected = np.zeros((6, 64))
    for i in range(len(y)):
        net.zero_grad()
        nn.functional.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        expected += net[0].weight.grad.numpy().astype(np.float64) ** 2 / len(y)
    np.testing.assert_allclose(
        wb.tethers(descent, source="fisher", step=30).values, expected, rtol=1e-3, atol=1e-9
    )


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_noise_gathers_nowhere_at_the_level(which: int) -> None:
    descent, _ = where_magnitude_fails(n=16)

    def p_value(seed: int) -> float:
        return (
            wb.tethers(descent, source="random", fraction=0.3, n_null=39, random_state=seed)
            .evidence[which]
            .p_value
        )

    if which:
        assert_calibrated(p_value)
    else:  # whole numbers of edges: ties make the test miss its level from below
        assert sum(p_value(s) <= 0.05 for s in range(200)) <= 20


@pytest.mark.slow
def test_noise_does_not_repeat_at_the_level() -> None:
    """Tethers that are all the same but for noise in the samples: two halves rank them alike by chance only."""

    def p_value(seed: int) -> float:
        rng = np.random.default_rng(seed)
        net = nn.Linear(40, 1, bias=False)
        with torch.no_grad():
            net.weight.fill_(0.1)
        x = rng.standard_normal((32, 40)).astype(np.float32)
        descent = trajectory(net, x, rng.standard_normal((32, 1)).astype(np.float32), "mse")
        return (
            wb.tethers(descent, source="fisher", n_boot=1, n_null=19, random_state=seed).evidence[2].p_value
        )

    assert_calibrated(p_value)


def test_refuses_by_name() -> None:
    descent, _ = where_magnitude_fails()
    with pytest.raises(MissingError, match="no layer='nowhere'"):
        wb.tethers(descent, layer="nowhere")
    with pytest.raises(ViewError, match="attention"):
        wb.tethers(descent, source="attention")
    with pytest.raises(ViewError, match="needs weights"):
        wb.tethers(wb.Trajectory(descent.table))
