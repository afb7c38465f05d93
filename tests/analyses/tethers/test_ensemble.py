"""Ensemble: what merging does to weights, what scores are, that unrelated networks are left alone, and refusals."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers import hand_made_descent
from workbench.analyses.tethers._merging import Rules, merged, scores
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.models.digits_descent import perceptron
from workbench.numerics.neuron_alignment import match_weights, permuted
from workbench.numerics.neuron_chain import chain_of

SMALL = {"rounds": 2, "steps": 5, "repeats": 3, "n_null": 99, "device": "cpu"}


@cache
def siblings(**how: object) -> wb.Siblings:
    return wb.digits_siblings(**{"models": 3, "width": 10, "depth": 2, "steps": 40, **how})


def rules(**change: object) -> Rules:
    usual = {
        "rounds": 1,
        "steps": 1,
        "repeats": 3,
        "source": "magnitude",
        "measure": "cka",
        "fraction": 0.25,
        "rate": 0.05,
        "draws": 19,
        "drift": "keep",
        "batch_size": 8,
        "learning_rate": 0.1,
        "optimizer": "sgd",
        "random_state": 0,
        "device": "cpu",
    }
    return Rules(**{**usual, **change})


@cache
def family():
    torch.manual_seed(0)
    networks = [perceptron(6, [5, 4], 3) for _ in range(3)]
    weights = [{n: t.detach().double().numpy() for n, t in n_.state_dict().items()} for n_ in networks]
    held = [{n: np.abs(w) for n, w in one.items() if n.endswith("weight")} for one in weights]
    return chain_of(networks[0]), networks, weights, held


def test_too_few_seeds_to_find_anything_are_told() -> None:
    found = wb.ensemble(siblings(), **{**SMALL, "rounds": 1, "steps": 1})
    assert found.outcome.status == "stopped" and "raise repeats to 9" in found.outcome.advice


def test_known_answer_merging_everything_is_averaging_and_merging_nothing_changes_nothing() -> None:
    chain, _, weights, held = family()
    pairs = [(0, 1), (0, 2), (1, 2)]
    every = merged(chain, weights, held, np.ones((3, 3), bool), pairs, rules(fraction=1.0))
    none = merged(chain, weights, held, np.zeros((3, 3), bool), pairs, rules())
    for n in weights[0]:
        mean = np.mean([w[n] for w in weights], axis=0)
        assert all(np.allclose(one[n], mean) for one in every)
        assert all(np.array_equal(one[n], w[n]) for one, w in zip(none, weights, strict=True))


def test_known_answer_only_tethered_edges_of_compatible_layers_move() -> None:
    chain, _, weights, held = family()
    close = np.zeros((3, 3), bool)
    close[0, 1] = True  # networks 0 and 1 in the second layer
    found = merged(chain, weights, held, close, [(0, 1), (0, 2), (1, 2)], rules())
    name = chain[1].weight
    moved = found[0][name] != weights[0][name]
    assert 0.25 <= moved.mean() <= 0.5
    mean = (weights[0][name] + weights[1][name]) / 2
    assert np.allclose(found[0][name][moved], mean[moved]) and np.allclose(found[1][name][moved], mean[moved])
    assert np.array_equal(found[2][name], weights[2][name])
    assert np.array_equal(found[0][chain[0].weight], weights[0][chain[0].weight])


def test_pushing_apart_lessens_the_agreement_and_keeps_the_norm() -> None:
    chain, _, weights, held = family()
    found = merged(chain, weights, held, np.zeros((1, 3), bool), [(0, 1)], rules(drift="push", fraction=1.0))
    for layer in chain:
        before, after = ([one[layer.weight].ravel() for one in who[:2]] for who in (weights, found))
        assert np.linalg.norm(after[0]) == pytest.approx(np.linalg.norm(before[0]))
        cosine = [np.dot(*v) / np.linalg.norm(v[0]) / np.linalg.norm(v[1]) for v in (before, after)]
        assert cosine[1] < cosine[0]


def test_known_answer_a_twin_with_its_neurons_in_another_order_merges_into_itself() -> None:
    """Averaging after alignment leaves its function; without, not."""
    chain, _, weights, held = family()
    rng = np.random.default_rng(0)
    twin = permuted(chain, weights[0], [rng.permutation(5), rng.permutation(4)])
    aligned = permuted(chain, twin, match_weights(chain, weights[0], twin))
    both = [weights[0], aligned]
    found = merged(chain, both, [held[0]] * 2, np.ones((1, 3), bool), [(0, 1)], rules(fraction=1.0))
    assert all(np.allclose(found[1][n], w) for n, w in weights[0].items())
    assert not np.allclose((weights[0]["0.weight"] + twin["0.weight"]) / 2, weights[0]["0.weight"])


def test_known_answer_scores() -> None:
    p = np.array([[[1.0, 0], [1, 0], [0, 1]], [[1, 0], [0, 1], [0, 1]]])
    found = scores(p, np.array([0, 0, 0]))
    assert found["accuracy of one network"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert found["disagreement"] == pytest.approx(1 / 3)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), (5, 30))
    y = rng.integers(0, 4, 30)
    target = np.eye(4)[y]
    members = ((p - target) ** 2).sum(2).mean()
    ensemble = ((p.mean(0) - target) ** 2).sum(1).mean()
    assert members - ensemble == pytest.approx(scores(p, y)["ambiguity"])  # Krogh and Vedelsby's identity


def test_peer_trains_and_averages_as_torch_does() -> None:
    """One round of plain averaging beside torch's own loop and its average of models."""
    from torch.optim.swa_utils import AveragedModel

    from workbench.analyses.tethers._evolving import _batch, _data, evolve
    from workbench.analyses.tethers._merging import PLAIN
    from workbench.subjects.descents.siblings import Models

    view = siblings().view(Models)
    asked = rules(rounds=1, steps=4, optimizer="momentum", learning_rate=0.05)
    history = evolve(view, 0, asked, (PLAIN,))
    data = _data(view, asked)
    batches = [_batch(data, asked, t) for t in range(4)]
    networks = [t.network(0) for t in view.trajectories]
    average = None
    for m, network in enumerate(networks):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[m]), y[m]).backward()
            optimizer.step()
        average = average or AveragedModel(network)
        average.update_parameters(network)
    with torch.no_grad():
        right = (average(torch.tensor(view.probe.x)).argmax(1).numpy() == view.probe.y).mean()
    assert history.scores["accuracy of one network"][0, 1, 0] == pytest.approx(right, abs=2e-3)


def test_unrelated_networks_are_merged_at_the_false_positive_rate() -> None:
    """Networks that have nothing in common: each comparison is above its threshold at 5 %."""
    result = wb.ensemble_tethers(
        siblings(images="scrambled", models=5),
        rounds=1,
        steps=1,
        repeats=3,
        start="last",
        source="movement",
        device="cpu",
    )
    share = result.evidence[0].value
    assert share <= 0.15, share  # 90 comparisons, those of one pair in several seeds alike
    related = wb.ensemble_tethers(siblings(), rounds=4, steps=10, repeats=3, source="movement", device="cpu")
    assert related.evidence[-1].value > 0.3


def test_arms_are_compared_by_seed() -> None:
    result = wb.ensemble(siblings(), **SMALL)
    assert result.y.shape == (3, 20) and result.x.tolist() == [0, 5, 10]
    assert len(result.evidence) == 7 and all(e.n == 3 and e.interval for e in result.evidence)
    start = result.y[0].reshape(4, 5)
    assert np.allclose(start, start[:, :1], atol=1e-6)  # every arm begins with the same networks
    averaged = [
        j for j, n in enumerate(result.names) if "averaging" in n and result.panels[j] == "disagreement"
    ]
    assert (result.y[1:, averaged] == 0).all()  # all the same just after they were averaged
    later = wb.ensemble(siblings(), **SMALL, scored="trained")
    assert (later.y[1:, averaged] > 0).all()
    assert "Holm" in result.caveat and "above their thresholds" in result.caveat


def test_nothing_is_merged_where_no_threshold_can_be_passed() -> None:
    """Then merging by tethers is no interaction."""
    result = wb.ensemble(siblings(), **SMALL, draws=9)
    y = result.y.reshape(3, 4, 5)
    assert np.allclose(y[..., 0], y[..., 3], atol=1e-6) and np.allclose(y[..., 0], y[..., 4], atol=1e-6)
    assert result.evidence_of("accuracy_of_one", "no interaction").value == 0
    assert result.evidence_of("accuracy_of_ensemble", "output ensembling").value == 0


def test_descents_without_their_training_data_split_the_probe() -> None:
    x, y = torch.randn(60, 6), torch.randint(0, 3, (60,))
    made = [hand_made_descent(perceptron(6, [5], 3), x, y) for _ in range(2)]
    both = wb.siblings(made)
    result = wb.ensemble(both, **SMALL)
    assert "random half of the probe" in result.caveat
    with pytest.raises(DataError, match="takes 20 or more"):
        wb.ensemble(both.select(np.arange(12)), **SMALL)


def test_refusals() -> None:
    x = torch.randn(30, 6)
    made = [hand_made_descent(perceptron(6, [5], 1), x, torch.randn(30, 1), "mse") for _ in range(2)]
    made = [made[0], made[1].with_probe(made[0].probe.x, made[0].probe.y, "mse")]
    with pytest.raises(ViewError, match=r"has the loss mse.*classifiers"):
        wb.ensemble(wb.siblings(made), **SMALL)
    with pytest.raises(ParameterError, match="repeats"):
        wb.ensemble(siblings(), repeats=2)
    with pytest.raises(ViewError, match="several descents"):
        wb.ensemble(siblings()[0])
