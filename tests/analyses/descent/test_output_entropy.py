"""Output entropy: answers whose probabilities are known; null and intervals measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent, untrained_descent
from torch import nn

import workbench as wb
from workbench.core.errors import ViewError


def scaled(scale: float, classes: int = 4, loss: str = "cross_entropy"):
    """A network that answers its input, scaled; the inputs are the classes themselves."""
    layer = nn.Linear(classes, classes, bias=False)
    nn.init.eye_(layer.weight)
    layer.weight.data *= scale
    x = np.eye(classes, dtype=np.float32)[np.arange(8 * classes) % classes]
    y = np.arange(len(x)) % classes if loss == "cross_entropy" else x
    return hand_made_descent(layer, x, y, loss)


def test_known_answer_undecided_and_decided() -> None:
    undecided = wb.output_entropy(scaled(0.0), n_null=0).y[0]
    np.testing.assert_allclose(undecided, np.log(4))
    decided = wb.output_entropy(scaled(1000.0), n_null=0).y[0]
    np.testing.assert_allclose(decided, [0, np.log(4)], atol=1e-12)


def test_known_answer_two_outcomes_each() -> None:
    found = wb.output_entropy(scaled(0.0, loss="binary_cross_entropy"), n_null=0).y[0]
    np.testing.assert_allclose(found, np.log(2))


def test_known_answer_tokens_are_averaged() -> None:
    network = nn.Embedding(5, 5)
    nn.init.zeros_(network.weight)
    tokens = np.random.default_rng(0).integers(0, 5, (6, 7))
    found = wb.output_entropy(hand_made_descent(network, tokens, tokens, "next_token"), n_null=0).y[0]
    np.testing.assert_allclose(found, np.log(5))


def test_peer_scipys_entropy() -> None:
    from scipy.stats import entropy

    d = wb.digits_descent(width=6, depth=1, steps=60)
    with torch.no_grad():
        p = d.network(60)(d.probe.tensors()[0]).softmax(dim=1).numpy().astype(float)
    found = wb.output_entropy(d, max_steps=1, n_null=0).y[0]
    np.testing.assert_allclose(found, [entropy(p, axis=1).mean(), entropy(p.mean(axis=0))], rtol=1e-5)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    def p_value(seed: int) -> float:
        view = untrained_descent(seed).view(wb.output_entropy.inputs[0].takes)
        return (
            wb.output_entropy.function(view, n_null=39, n_boot=0, random_state=seed, device="cpu")
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value, runs=100)


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says() -> None:
    """Logits that are drawn anew for each sample; the mean entropy of all of them is that of many."""
    layer = nn.Linear(3, 3, bias=False)
    nn.init.eye_(layer.weight)

    def found(n: int, seed: int):
        x = (2 * np.random.default_rng(seed).standard_normal((n, 3))).astype(np.float32)
        view = hand_made_descent(layer, x, np.zeros(n, int)).view(wb.output_entropy.inputs[0].takes)
        return wb.output_entropy.function(view, n_null=0, n_boot=60, max_samples=n, device="cpu")

    exact = found(50_000, 999).y[0, 0]
    held = sum(f.low[0, 0] <= exact <= f.high[0, 0] for f in (found(60, seed) for seed in range(150)))
    assert 134 <= held <= 149, held


def test_refuses_answers_without_probabilities() -> None:
    with pytest.raises(ViewError, match="without probabilities"):
        wb.output_entropy(wb.quadratic_descent(steps=3))
