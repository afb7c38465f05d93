"""A planted turnover is measured, bookmarks that were advertised are those that weights give, and drift is no finding."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_calibrated
from torch import nn

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, ViewError


def of_weights(weights: list[np.ndarray], spacing: int = 1) -> wb.Trajectory:
    steps = np.arange(len(weights)) * spacing
    table = pd.DataFrame({"loss": np.ones(steps[-1] + 1)}, index=np.arange(steps[-1] + 1))
    return wb.Trajectory(table, weights={int(s): {"w": w} for s, w in zip(steps, weights, strict=True)})


def sliding(steps: int = 11, move: int = 2, spacing: int = 1) -> wb.Trajectory:
    """20 large weights of 200; from step to step two of the oldest become small and two others large."""
    found = []
    for t in range(steps):
        w = np.linspace(0, 0.1, 200)
        w[move * t : move * t + 20] = 1 + w[move * t : move * t + 20]
        found.append(w.reshape(10, 20))
    return of_weights(found, spacing)


@pytest.mark.parametrize("spacing", [1, 5])
def test_known_answer_a_planted_turnover(spacing: int) -> None:
    result = wb.bookmark_stability(sliding(spacing=spacing))
    np.testing.assert_allclose(result.y[:, 0], 18 / 22)
    t = np.arange(1, 11)
    np.testing.assert_allclose(result.y[:, 1], (20 - 2 * t) / (20 + 2 * t))
    np.testing.assert_allclose(result.y[:, 2], (2 * t) / (40 - 2 * t))
    _, last, gone, there, changes = result.evidence
    assert last.value == 0 and last.p_value > 0.9
    # of 20 edges 2 go a step, a tenth of 200 are shared by chance: (1 - t / 10 - 0.1) / 0.9 = 0.5
    assert gone.value == pytest.approx(4.5 * spacing) and there.value == pytest.approx(5.5 * spacing)
    assert gone.interval[0] < gone.value < gone.interval[1]
    assert changes.value == 0


def test_known_answer_bookmarks_that_stay_have_no_half_life() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((10, 20))
    result = wb.bookmark_stability(of_weights([w * (1 + 0.1 * t) for t in range(6)]))
    assert (result.y == 1).all()
    _, last, gone, there, _ = result.evidence
    assert last.p_value == pytest.approx(1 / 40)
    assert gone.value == 5 and "a bound" in gone.label and there.value == 0


def test_known_answer_a_planted_change_is_counted() -> None:
    weights = []
    w = np.linspace(0, 0.1, 400)
    rng = np.random.default_rng(0)
    large = list(range(40))
    for t in range(60):
        turn = 15 if t == 45 else int(rng.integers(1, 4))
        large = large[turn:] + list(
            rng.choice([i for i in range(400) if i not in large], turn, replace=False)
        )
        now = w.copy()
        now[large] += 1
        weights.append(now.reshape(20, 20))
    result = wb.bookmark_stability(of_weights(weights), max_steps=60, false_alarms=0.025)
    changes = result.evidence[-1]
    assert result.y[:, 0].argmin() == 44
    assert changes.value >= 1
    assert (
        wb.bookmark_stability(of_weights(weights[:45]), max_steps=60, false_alarms=0.025).evidence[-1].value
        < changes.value
    )


def test_peer_scikit_learn_has_the_same_jaccard_index() -> None:
    from sklearn.metrics import jaccard_score

    descent = wb.digits_descent(width=6, depth=1, steps=30)
    result = wb.bookmark_stability(descent, fraction=0.2, n_null=3, n_boot=3)
    found = []
    for step in descent.weight_steps:
        marked = []
        for name in ("0.weight", "2.weight"):
            w = np.abs(descent.weights(step)[name]).ravel()
            marked.append(np.isin(np.arange(w.size), np.argsort(-w)[: round(0.2 * w.size)]))
        found.append(np.concatenate(marked))
    np.testing.assert_allclose(result.y[:, 0], [jaccard_score(a, b) for a, b in itertools.pairwise(found)])
    np.testing.assert_allclose(result.y[:, 2], [jaccard_score(a, found[-1]) for a in found[1:]])


@pytest.mark.parametrize("scope", ["layer", "network"])
def test_advertised_bookmarks_are_those_of_the_weights(scope: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    x, y = torch.randn(40, 6), torch.randint(3, (40,))
    with (
        wb.record(net, optimizer, weights_at=5) as run,
        wb.bookmark(run, fraction=0.2, every=5, scope=scope, name="mine"),
    ):
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    computed = wb.bookmark_stability(run.trajectory, fraction=0.2, scope=scope)
    advertised = wb.bookmark_stability(run.trajectory, recorded="mine")
    np.testing.assert_array_equal(computed.x, advertised.x)
    np.testing.assert_allclose(computed.y, advertised.y)
    for a, b in zip(computed.evidence[1:], advertised.evidence[1:], strict=True):
        assert (a.id, a.of, a.value) == (b.id, b.of, b.value)
    assert advertised.evidence[0].null == "random edges"


@pytest.mark.slow
def test_drift_keeps_no_edges_beyond_drift_at_the_level() -> None:
    """Tethers that walk at random, every edge alike: the null of dealt changes holds."""

    def p_value(seed: int) -> float:
        rng = np.random.default_rng(seed)
        walk = 50 + np.cumsum(rng.standard_normal((5, 15, 20)), axis=0)
        return (
            wb.bookmark_stability(of_weights(list(walk)), n_null=19, n_boot=0, random_state=seed)
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value)


@pytest.mark.slow
def test_what_is_drawn_anew_remembers_nothing_at_the_level() -> None:
    rejected = 0
    for seed in range(200):
        weights = list(np.random.default_rng(seed).random((3, 15, 20)))
        result = wb.bookmark_stability(of_weights(weights), n_null=19, n_boot=0, random_state=seed)
        rejected += result.evidence[1].p_value <= 0.05
    assert rejected <= 20  # whole numbers of edges: ties make the test miss its level from below


def test_refuses_by_name() -> None:
    descent = sliding()
    with pytest.raises(MissingError, match="no recorded='mine'"):
        wb.bookmark_stability(descent, recorded="mine")
    with pytest.raises(MissingError, match=r"'fisher' at 0 kept steps.*network"):
        wb.bookmark_stability(descent, source="fisher")
    with pytest.raises(ViewError, match="weights at 3 steps"):
        wb.bookmark_stability(sliding(2))
    with pytest.raises(ParameterError, match="leaves no edge"):
        wb.bookmark_stability(descent, fraction=0.001)
