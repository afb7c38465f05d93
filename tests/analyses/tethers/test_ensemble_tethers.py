"""Who is tethered to whom: a planted twin is, and lines are what `ensemble` decides by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers import hand_made_descent
from workbench.calibrating.world import worlds_for
from workbench.core.registry import method
from workbench.models.digits_descent import perceptron
from workbench.numerics.neuron_alignment import permuted
from workbench.numerics.neuron_chain import chain_of

HOW = {"rounds": 1, "steps": 1, "repeats": 3, "source": "magnitude", "learning_rate": 1e-4, "device": "cpu"}


def twins() -> wb.Siblings:
    """Two networks that are one but for the order of their neurons, and a third."""
    torch.manual_seed(0)
    x, y = torch.randn(60, 20), torch.randint(0, 5, (60,))
    network = perceptron(20, [14, 11], 5)
    state = {n: t.detach().numpy() for n, t in network.state_dict().items()}
    rng = np.random.default_rng(0)
    other = perceptron(20, [14, 11], 5)
    moved = permuted(chain_of(network), state, [rng.permutation(14), rng.permutation(11)])
    other.load_state_dict({n: torch.from_numpy(w.copy()) for n, w in moved.items()})
    return wb.siblings([hand_made_descent(n, x, y) for n in (network, other, perceptron(20, [14, 11], 5))])


def test_known_answer_a_twin_is_tethered_in_every_layer_and_a_stranger_is_not() -> None:
    table = wb.ensemble_tethers(twins(), **HOW).table()
    pair = table["from"].str.endswith("0") & table["to"].str.endswith("1")
    assert table.above[pair].all() and (table.compatibility[pair] > 0.98).all()
    assert table.above[~pair].sum() <= 2 and (table.compatibility[~pair] < 0.9).all()


def test_peer_compatibility_is_that_of_tether_compatibility() -> None:
    """Before networks have moved far, the same numbers by the other method."""
    mine = wb.ensemble_tethers(twins(), **HOW).table()
    peer = wb.tether_compatibility(twins(), sources=("magnitude",), steps=1, n_null=19).table()
    peer = peer[peer["from"].str[-1] != peer["to"].str[-1]]
    assert np.allclose(mine.compatibility, peer.compatibility, atol=0.03)


def test_rounds_are_positions_of_a_slider() -> None:
    result = wb.ensemble_tethers(twins(), **{**HOW, "rounds": 3})
    assert result.lines.shape == (3, 9) and result.frame_names == ("round 1", "round 2", "round 3")
    assert len(result.figure().layout.sliders[0].steps) == 3
    assert all("of 3 seeds" in note for note in result.line_notes)
    assert len(result.evidence) == 2 and result.evidence[0].interval


@pytest.mark.slow
def test_networks_without_a_relation_are_tethered_alike_at_the_rate() -> None:
    """No p-value says so: the share of layers above their thresholds is the rate itself, one time in twenty."""
    (world,) = worlds_for(method("tether_compatibility"), ("unrelated networks",))
    shares = [
        wb.ensemble_tethers(*world.make(np.random.default_rng([seed, 1])), **HOW, random_state=seed)
        .evidence[0]
        .value
        for seed in range(25)
    ]
    assert np.mean(shares) < 0.05 + 3 * np.std(shares) / 5
    assert np.mean(shares) > 0
