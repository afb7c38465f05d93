"""Sameness: samples that are known to be alike or not; null and intervals measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent, untrained_descent
from torch import nn

import workbench as wb


def passing_on(x: np.ndarray, scale: float = 1.0):
    network = nn.Sequential(
        nn.Linear(x.shape[1], x.shape[1], bias=False), nn.Linear(x.shape[1], x.shape[1], bias=False)
    )
    for layer in network:
        nn.init.eye_(layer.weight)
    network[1].weight.data *= scale
    return hand_made_descent(network, x.astype(np.float32), np.zeros(len(x), int))


def test_known_answer_one_sample_many_times_and_samples_at_right_angles() -> None:
    assert wb.sameness(passing_on(np.ones((6, 4))), n_null=0).y[0, 0] == pytest.approx(1)
    assert wb.sameness(passing_on(np.eye(6)), n_null=0).y[0, 0] == pytest.approx(0)
    pair = np.array([[1.0, 0], [-1, 0]] * 3)
    assert wb.sameness(passing_on(pair), n_null=0).y[0, 0] == pytest.approx(-0.2)


def test_known_answer_decided_answers_meet_as_often_as_classes_do() -> None:
    x = np.eye(4)[np.arange(20) % 4]
    found = wb.sameness(passing_on(x, 1000.0), of="answers", n_null=0).y[0, 0]
    assert found == pytest.approx(4 * 5 * 4 / (20 * 19))
    undecided = wb.sameness(passing_on(x, 0.0), of="answers", n_null=0).y[0, 0]
    assert undecided == pytest.approx(1)


@pytest.mark.parametrize("of", ["representations", "answers"])
def test_peer_scikit_learns_cosines(of: str) -> None:
    from sklearn.metrics.pairwise import cosine_similarity

    d = wb.digits_descent(width=6, depth=1, steps=40)
    network, x = d.network(40), d.probe.tensors()[0]
    with torch.no_grad():
        rows = [network[:1](x), network[:2](x)] if of == "representations" else [network(x).softmax(dim=1)]
    pairs = ~np.eye(len(x), dtype=bool)
    exact = np.mean([cosine_similarity(r.numpy().astype(float))[pairs].mean() for r in rows])
    assert wb.sameness(d, of=of, max_steps=1, n_null=0, n_boot=0).y[0, 0] == pytest.approx(exact, rel=1e-5)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    def p_value(seed: int) -> float:
        view = untrained_descent(seed).view(wb.sameness.inputs[0].takes)
        return (
            wb.sameness.function(view, n_null=19, n_boot=0, random_state=seed, device="cpu")
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value, runs=100)


def test_planted_sameness_is_found() -> None:
    """Weights that send every sample along one direction are more alike than in any other order."""
    d = untrained_descent(0, width=12)
    network = d.model
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].weight[:, 0] = 3
        network[0].bias.zero_()
    x = np.abs(np.random.default_rng(0).standard_normal((24, 4))).astype(np.float32)
    assert wb.sameness(hand_made_descent(network, x, d.probe.y), n_null=39).evidence[0].p_value <= 0.05


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says() -> None:
    """Unit vectors around a common direction: the cosine of two is the squared length of their mean."""

    def found(n: int, seed: int):
        view = passing_on(1 + np.random.default_rng(seed).standard_normal((n, 3))).view(
            wb.sameness.inputs[0].takes
        )
        return wb.sameness.function(view, n_null=0, n_boot=60, max_samples=n, device="cpu")

    exact = found(50_000, 999).y[0, 0]
    held = sum(f.low[0, 0] <= exact <= f.high[0, 0] for f in (found(60, seed) for seed in range(150)))
    assert 132 <= held <= 149, held
