"""Memorization: networks that know by heart what they saw, those that saw nothing, and scikit-learn's area beside ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated
from torch import nn

import workbench as wb
from workbench.analyses.descent.memorization import told_apart
from workbench.core.errors import DataError, ViewError


def learned(labels: str, steps: int = 300, seed: int = 0, width: int = 64, n: int = 80) -> wb.Trajectory:
    """A descent on two clouds that lie apart, with their own labels, or labels by a coin in all samples."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2 * n)
    x = (rng.standard_normal((2 * n, 20)) + 2.5 * y[:, None] * (np.arange(20) < 2)).astype(np.float32)
    y = rng.permutation(y) if labels == "coin" else y
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.Linear(width, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    seen, held = ((torch.tensor(x[at]), torch.tensor(y[at])) for at in (slice(n), slice(n, None)))
    with wb.record(net, optimizer, probe=held, training=seen, loss="cross_entropy") as run:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(seen[0]), seen[1])
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
    return run.trajectory


def test_known_answer_labels_by_a_coin_are_learned_by_heart() -> None:
    found = wb.memorization(learned("coin"), n_null=99)
    asked, change = found.evidence
    # of the others half are right by chance, and as surely: more than three quarters can't be told by much
    assert 0.75 < asked.interval[0] < asked.value < 1 and asked.p_value == 0.01
    assert abs(found.y[0, 0] - 0.5) < 0.15 and change.value > 0.2  # nothing was seen yet at step 0


def test_peer_scikit_learns_area_under_the_curve() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    losses, member = rng.integers(0, 9, (3, 50)).astype(float), rng.random(50) < 0.4  # with ties
    np.testing.assert_allclose(told_apart(losses, member), [roc_auc_score(member, -row) for row in losses])


def test_the_loss_is_that_of_each_sample_and_its_order_alone_counts() -> None:
    d = learned("coin", steps=40)
    network = d.network(40)
    losses = [
        nn.functional.cross_entropy(network(x), y, reduction="none").detach().numpy()
        for x, y in (d.training.tensors(), d.probe.tensors())
    ]
    lower = np.mean([[a < b for b in losses[1]] for a in losses[0]])
    assert wb.memorization(d, max_steps=1, n_null=0, n_boot=0).y[0, 0] == pytest.approx(lower, abs=1e-3)


def test_what_is_lacking_is_said() -> None:
    d = learned("coin", steps=3)
    x, y = (t.numpy() for t in d.training.tensors())
    without = wb.Trajectory(d.table, weights={3: dict(d.weights(3))}, name="bare").with_model(d.network(3))
    with pytest.raises(ViewError, match=r"training=\(x, y\)"):
        wb.memorization(without.with_probe(x, y, "cross_entropy"))
    with pytest.raises(DataError, match="never saw"):
        wb.memorization(d.with_probe(x, y, "cross_entropy"))
    with pytest.raises(DataError, match="8 of either"):
        wb.memorization(d.with_probe(x[:5] + 1, y[:5], "cross_entropy"))


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Networks that saw nothing: their losses can't tell which samples they will be trained on."""

    def p(seed: int) -> float:
        unseen = learned("own", steps=1, seed=seed, width=8).select("step < 1")
        return wb.memorization(unseen, max_steps=1, n_null=39, n_boot=0).evidence[0].p_value

    assert_calibrated(p, runs=200)
