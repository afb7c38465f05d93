"""Neural collapse: a planted simplex, closed formulas beside it, and the null's false alarms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent, untrained_descent
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ViewError

CLASSES, EACH = 4, 12


def simplex() -> np.ndarray:
    """Class means as far apart as can be, (4, 4)."""
    return np.eye(CLASSES) - 1 / CLASSES


def planted(means: np.ndarray, weights: np.ndarray, noise: float = 0.0, seed: int = 0):
    y = np.arange(CLASSES * EACH) % CLASSES
    x = means[y] + noise * np.random.default_rng(seed).standard_normal((len(y), means.shape[1]))
    layer = nn.Linear(means.shape[1], CLASSES, bias=False)
    layer.weight.data = torch.tensor(weights, dtype=torch.float32)
    return hand_made_descent(layer, x.astype(np.float32), y)


def test_known_answer_complete_collapse_is_zero() -> None:
    found = wb.neural_collapse(planted(3 * simplex() + 1, 5 * simplex()))
    np.testing.assert_allclose(found.y[0], 0, atol=1e-6)
    nc1, _, _, nc3, nc4 = found.evidence
    assert nc1.p_value == nc3.p_value == pytest.approx(1 / 40)
    assert nc4.p_value <= 0.05


def test_known_answer_each_sign_has_its_own_departure() -> None:
    s = simplex()
    unequal = wb.neural_collapse(planted(np.array([[1], [1], [1], [2]]) * s, s), n_null=0, n_boot=0).y[0]
    assert unequal[1] > 0.1
    turned = wb.neural_collapse(planted(s, s[::-1].copy()), n_null=0, n_boot=0).y[0]
    np.testing.assert_allclose(turned[[0, 1, 2]], 0, atol=1e-6)
    assert turned[3] == pytest.approx(
        2 + 2 / 3, rel=1e-5
    )  # 2 - 2 cos; the cosine of the reversed simplex is -1 / 3
    assert turned[4] == 1
    line = np.outer([-3.0, -1, 1, 3], np.ones(4))
    assert wb.neural_collapse(planted(line, s), n_null=0, n_boot=0).y[0, 2] == pytest.approx(
        np.mean([abs(c + 1 / 3) for c in (1, -1, -1, -1, -1, 1)]), rel=1e-5
    )


def test_peer_the_plain_formulas_and_scikit_learns_nearest_neighbour() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    d = wb.digits_descent(width=12, depth=1, steps=60)
    found = wb.neural_collapse(d, max_steps=1, n_null=0, n_boot=0).y[0]
    network, (x, y) = d.network(60), d.probe.tensors()
    with torch.no_grad():
        h, answered = network[:2](x).numpy().astype(float), network(x).argmax(dim=1).numpy()
    y = y.numpy()
    means = np.array([h[y == c].mean(axis=0) for c in range(10)])
    between = np.cov(means.T, bias=True)
    within = np.mean([np.outer(a, a) for a in h - means[y]], axis=0)
    assert found[0] == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 10, rel=1e-4)
    norms = np.linalg.norm(means - means.mean(axis=0), axis=1)
    assert found[1] == pytest.approx(norms.std() / norms.mean(), rel=1e-6)
    w, m = network[2].weight.detach().numpy().astype(float), means - means.mean(axis=0)
    assert found[3] == pytest.approx(
        np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2, rel=1e-5
    )
    assert found[4] == pytest.approx(
        (KNeighborsClassifier(1).fit(means, range(10)).predict(h) != answered).mean()
    )


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Classes that were drawn without a look at the inputs."""
    p = {}
    for seed in range(120):
        view = untrained_descent(seed, samples=45).view(wb.neural_collapse.inputs[0].takes)
        found = wb.neural_collapse.function(view, n_null=19, n_boot=0, random_state=seed, device="cpu")
        p[seed] = [e.p_value for e in found.evidence]
    for j in range(4):  # the fifth is a share of forty-five, whose ties make it cautious
        assert_calibrated(lambda seed, j=j: p[seed][j], runs=120)
    assert sum(found[4] <= 0.05 for found in p.values()) <= 14


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says() -> None:
    found = []
    for seed in range(120):
        view = planted(3 * simplex(), simplex(), 1.0, seed).view(wb.neural_collapse.inputs[0].takes)
        found.append(wb.neural_collapse.function(view, n_null=0, n_boot=60, device="cpu"))
    mean = np.mean([f.y[0] for f in found], axis=0)
    held = sum((f.low[0] <= mean) & (mean <= f.high[0]) for f in found)
    assert (held >= 102).all(), held


def test_refusals() -> None:
    with pytest.raises(ViewError, match="about classes"):
        wb.neural_collapse(wb.quadratic_descent(steps=3))
    d = wb.digits_descent(width=4, depth=1, steps=3)
    few = np.arange(5)
    with pytest.raises(DataError, match="max_samples"):
        wb.neural_collapse(d.with_probe(d.probe.x[few], d.probe.y[few], "cross_entropy"))
    network = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    x, y = np.random.default_rng(0).standard_normal((24, 4)).astype(np.float32), np.arange(24) % 3
    with pytest.raises(ViewError, match="doesn't end in a linear layer"):
        wb.neural_collapse(hand_made_descent(network, x, y))
