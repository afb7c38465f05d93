"""Every source gives what its definition says, worked out another way; and what can't be had is refused by name."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.numerics.ablation import sample_losses
from workbench.numerics.objectives import Probe
from workbench.numerics.tethers import (
    SAMPLED,
    SOURCES,
    Place,
    at_network,
    available,
    flat,
    hold,
    resampled,
    tether,
    top,
    unflat,
)
from workbench.numerics.tethers.sources import dropout
from workbench.numerics.tethers.sources.centrality import flows
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent


@pytest.fixture(scope="module")
def descent() -> Descent:
    return wb.digits_descent(width=6, depth=1, steps=30).view(Descent)


@pytest.fixture(scope="module")
def place(descent: Descent) -> Place:
    return at_step(descent)


def by_sample(place: Place, n: int = 0) -> dict[str, np.ndarray]:
    """Gradients by plain autograd, one sample after the other."""
    x, y = place.probe.tensors(place.network)
    own = {k: p for k, p in place.network.named_parameters() if k in place.weights}
    found: dict[str, list[np.ndarray]] = {k: [] for k in own}
    for i in range(n or len(y)):
        loss = nn.functional.cross_entropy(place.network(x[i : i + 1]), y[i : i + 1])
        for k, g in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
            found[k].append(g.numpy())
    return {k: np.array(v, np.float64) for k, v in found.items()}


def test_gradient_sources_are_what_autograd_gives_sample_by_sample(place: Place) -> None:
    g = by_sample(place)
    for name, w in place.weights.items():
        mean, square = g[name].mean(0), np.square(g[name]).mean(0)
        expected = {
            "fisher": square,
            "fisher_weight": square * w**2,
            "gradient_weight": np.abs(mean * w),
            "second_moment": mean**2 + (square - mean**2) / 32,
        }
        for source, e in expected.items():
            np.testing.assert_allclose(tether(place, source)[name], e, rtol=2e-4, atol=1e-9, err_msg=source)


@pytest.mark.parametrize("source", ["fisher", "fisher_weight", "gradient_weight"])
def test_sums_of_a_chain_are_those_of_its_single_samples(source: str) -> None:
    """In double precision the two ways round differently in the last bits alone; what is no chain goes by samples."""
    rng = np.random.default_rng(2)
    chain = nn.Sequential(
        nn.Flatten(), nn.Sequential(nn.Linear(6, 5), nn.Tanh()), nn.Dropout(), nn.Linear(5, 3)
    ).double()
    probe = Probe.of(rng.standard_normal((40, 2, 3)), rng.integers(0, 3, 40), "cross_entropy")
    counts = rng.integers(0, 3, (4, 40)).astype(float)
    place = at_network(chain, probe)
    assert (
        SOURCES[source].sums(place, place.network, *probe.tensors(place.network), torch.as_tensor(counts))
        is not None
    )
    summed = resampled(place, source, counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, source, replace(SOURCES[source], sums=None))
        one_by_one = resampled(place, source, counts)
    for a, b in zip(summed, one_by_one, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-10, atol=1e-16)
    shared = nn.Linear(6, 6).double()
    for other in (
        nn.Sequential(nn.Flatten(), shared, nn.Tanh(), shared),
        nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten()),
    ):
        place = at_network(other.double(), probe)
        assert (
            SOURCES[source].sums(place, place.network, *probe.tensors(place.network), torch.as_tensor(counts))
            is None
        )


def test_second_moment_is_that_of_random_batches(place: Place) -> None:
    g = by_sample(place)["2.weight"]
    rng = np.random.default_rng(0)
    batches = np.array([g[rng.integers(0, len(g), 32)].mean(0) for _ in range(3000)])
    np.testing.assert_allclose(
        np.square(batches).mean(0).sum(), tether(place, "second_moment")["2.weight"].sum(), rtol=0.03
    )


def test_true_fisher_is_that_of_labels_drawn_from_the_answer(place: Place) -> None:
    x, _ = place.probe.tensors(place.network)
    chances = place.network(x).softmax(1).detach().numpy().astype(np.float64)
    expected = {k: np.zeros(w.shape) for k, w in place.weights.items()}
    for c in range(10):
        labelled = Place(place.weights, place.network, Probe.of(x, np.full(len(x), c), "cross_entropy"))
        for k, g in by_sample(labelled).items():
            expected[k] += np.einsum("n,nij->ij", chances[:, c], g**2) / len(x)
    for k, t in tether(place, "fisher_true").items():
        np.testing.assert_allclose(t, expected[k], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("loss", ["mse", "half_squared_error", "binary_cross_entropy"])
def test_true_fisher_of_a_linear_network_is_known(loss: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4))
    net = nn.Linear(4, 2, bias=False).double()
    t = tether(at_network(net, Probe.of(x, rng.random((50, 2)), loss)), "fisher_true")["weight"]
    p = 1 / (1 + np.exp(-x @ net.weight.detach().numpy().T))
    by_output = p * (1 - p) if loss == "binary_cross_entropy" else np.ones((50, 2))
    np.testing.assert_allclose(t, by_output.T @ x**2 / 50, rtol=1e-6)


def test_dropout_is_the_loss_without_each_edge(place: Place) -> None:
    held = np.arange(len(place.probe))
    t = tether(place, "dropout")
    base = sample_losses(place, [place.weights], held)[0].mean()
    rng = np.random.default_rng(1)
    for name, w in place.weights.items():
        for i in rng.choice(w.size, 12, replace=False):
            without = {k: v.copy() for k, v in place.weights.items()}
            without[name].flat[i] = 0
            rise = sample_losses(place, [without], held)[0].mean() - base
            assert t[name].flat[i] == pytest.approx(max(rise, 0), abs=2e-6)


def test_dropout_of_units_where_edges_are_too_many(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "ONE_BY_ONE", 10)
    t = tether(place, "dropout")["2.weight"]
    held = np.arange(len(place.probe))
    base = sample_losses(place, [place.weights], held)[0].mean()
    for j in range(t.shape[1]):
        without = {k: v.copy() for k, v in place.weights.items()}
        without["2.weight"][:, j] = 0
        rise = sample_losses(place, [without], held)[0].mean() - base
        assert t[:, j].sum() == pytest.approx(max(rise, 0), abs=1e-5)
        if rise > 0:
            share = np.abs(place.weights["2.weight"][:, j])
            np.testing.assert_allclose(t[:, j] / t[:, j].sum(), share / share.sum(), rtol=1e-3)


def test_movement_and_its_score_follow_the_kept_steps(descent: Descent, place: Place) -> None:
    steps = descent.weight_steps
    assert place.step == steps[-1]
    first = descent.weights(steps[0])
    score = {n: np.zeros(w.shape) for n, w in place.weights.items()}
    for a, b in itertools.pairwise(steps):
        then = at_step(descent, a)
        for n, g in by_sample(then).items():
            score[n] -= (b - a) * g.mean(0) * then.weights[n]
    for n, w in place.weights.items():
        np.testing.assert_allclose(tether(place, "movement")[n], np.abs(w - first[n]), rtol=1e-6)
        np.testing.assert_allclose(
            tether(place, "movement_score")[n], np.maximum(score[n], 0), rtol=1e-3, atol=1e-5
        )


def test_adam_is_the_recorded_moment(descent: Descent, place: Place) -> None:
    held = descent.trajectory.optimizer_state(place.step)
    for n, t in tether(place, "adam").items():
        np.testing.assert_array_equal(t, held[n]["exp_avg_sq"])


def test_centrality_is_pagerank_of_the_layered_graph() -> None:
    nx = pytest.importorskip("networkx")
    rng = np.random.default_rng(0)
    layers = [rng.random((4, 5)), rng.random((3, 4))]
    graph = nx.DiGraph()
    for depth, m in enumerate(layers):
        for i, j in np.ndindex(*m.shape):
            graph.add_edge((depth, j), (depth + 1, i), weight=m[i, j])
    rank = nx.pagerank(graph, alpha=0.85, tol=1e-12)
    unit = rank[0, 0]  # what starts at one unit: inputs have no visits but those
    for depth, (m, f) in enumerate(zip(layers, flows(layers), strict=True)):
        visits = np.array([rank[depth, j] for j in range(m.shape[1])]) / unit
        np.testing.assert_allclose(f, 0.85 * visits * m / m.sum(0), rtol=1e-6)


def test_centrality_of_a_convolution_follows_its_channels() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1))
    t = tether(net, "centrality")
    assert {n: x.shape for n, x in t.items()} == {"0.weight": (3, 2, 3, 3), "2.weight": (2, 3, 1, 1)}
    plain = [np.abs(net[i].weight.detach().numpy()).sum((2, 3)).astype(float) for i in (0, 2)]
    back = flows([m.T for m in plain[::-1]])[::-1]
    expected = np.sqrt(flows(plain)[0] * back[0].T)
    np.testing.assert_allclose(t["0.weight"].sum((2, 3)), expected, rtol=1e-6)


class Attentive(nn.Module):
    def __init__(self, batch_first: bool = True):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.last = nn.Linear(8, 3)
        self.batch_first = batch_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        return self.last(self.attention(x, x, x)[0].mean(1 if self.batch_first else 0))


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_is_the_norm_of_what_a_head_adds(batch_first: bool) -> None:
    torch.manual_seed(0)
    net, x = Attentive(batch_first), torch.randn(5, 4, 8)
    t = tether(at_network(net, Probe.of(x, torch.zeros(5).long(), "cross_entropy")), "attention")
    assert set(t) == {"attention.in_proj_weight", "attention.out_proj.weight"}
    a = net.attention
    q, k, v = (
        (x @ w.T + b).unflatten(-1, (2, 4)).transpose(1, 2)
        for w, b in zip(a.in_proj_weight.chunk(3), a.in_proj_bias.chunk(3), strict=True)
    )
    context = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v
    for h in range(2):
        added = context[:, h] @ a.out_proj.weight[:, 4 * h : 4 * h + 4].T
        use = added.norm(dim=-1).mean().item()
        np.testing.assert_allclose(t["attention.out_proj.weight"][:, 4 * h : 4 * h + 4], use, rtol=1e-5)
        for part in range(3):
            rows = slice(8 * part + 4 * h, 8 * part + 4 * h + 4)
            np.testing.assert_allclose(t["attention.in_proj_weight"][rows], use, rtol=1e-5)


def test_attention_of_transformers_modules_sees_a_head_that_adds_nothing() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(0)
    net = transformers.LlamaForCausalLM(config)
    name = "model.layers.0.self_attn.{}_proj.weight"
    with torch.no_grad():
        net.get_parameter(name.format("o"))[:, 4:8] = 0  # the second of four heads
    ids = torch.randint(0, 20, (3, 6))
    t = tether(at_network(net, Probe.of({"input_ids": ids}, ids, "next_token")), "attention")
    used = t[name.format("o")][0, ::4]
    assert used[1] == 0 and (used[[0, 2, 3]] > 0).all()
    np.testing.assert_allclose(t[name.format("q")][::4, 0], used)
    np.testing.assert_allclose(t[name.format("k")][::4, 0], [used[0] + used[1], used[2] + used[3]])


@pytest.mark.parametrize("source", SAMPLED)
def test_transformers_answer_every_sampled_source_or_refuse(source: str) -> None:
    net = Attentive()
    place = at_network(net, Probe.of(torch.randn(6, 4, 8), torch.zeros(6).long(), "cross_entropy"))
    if source == "movement_score":
        with pytest.raises(ViewError, match="where the descent began"):
            tether(place, source)
        return
    for n, t in tether(place, source).items():
        assert t.shape == place.weights[n].shape and (t >= 0).all() and np.isfinite(t).all() and t.any()


@pytest.mark.parametrize("source", [s for s in SAMPLED if s != "attention"])
def test_several_choices_of_samples_at_once_are_each_alone(
    descent: Descent, place: Place, source: str
) -> None:
    rng = np.random.default_rng(0)
    chosen = [rng.choice(len(place.probe), 20, replace=False) for _ in range(2)]
    counts = np.array([np.bincount(c, minlength=len(place.probe)) for c in chosen])
    for c, t in zip(chosen, resampled(place, source, counts), strict=True):
        for n, alone in tether(place, source, samples=c).items():
            np.testing.assert_allclose(t[n], alone, rtol=1e-4, atol=1e-8)


def test_a_source_leaves_the_network_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    before = {n: p.clone() for n, p in net.named_parameters()}
    for source in ("fisher", "dropout"):
        tether(at_network(net, Probe.of(torch.randn(8, 3), torch.zeros(8).long(), "cross_entropy")), source)
    assert net.training
    for n, p in net.named_parameters():
        assert torch.equal(p, before[n]) and p.grad is None


# -- edges by rank ------------------------------------------------------------------------------------


def test_top_takes_whole_edges_of_each_layer_or_of_all() -> None:
    t = {"a": np.arange(10.0).reshape(2, 5), "b": 100 + np.arange(6.0).reshape(2, 3)}
    kept = top(t, 0.5)
    assert kept["a"].sum() == 5 and kept["b"].sum() == 3 and kept["a"][1].all()
    kept = top(t, 0.5, scope="network")
    assert kept["b"].all() and kept["a"].sum() == 2 and kept["a"][1, 3:].all()


def test_ties_are_broken_at_random_and_by_the_seed() -> None:
    t = {"a": np.zeros((20, 20))}
    first, again, other = (top(t, 0.3, random_state=s)["a"] for s in (0, 0, 1))
    assert first.sum() == 120 and (first == again).all() and (first != other).any()


def test_hold_keeps_what_is_tethered_and_the_shape() -> None:
    rng = np.random.default_rng(0)
    w = {"a": rng.standard_normal((6, 7)).astype(np.float32), "b": rng.standard_normal((2, 3))}
    kept = {"a": rng.random((6, 7)) < 0.3}
    for rest in ("zero", "flatten", "shuffle"):
        held = hold(w, kept, rest)
        assert held["a"].dtype == np.float32 and held["a"].shape == (6, 7)
        np.testing.assert_array_equal(held["a"][kept["a"]], w["a"][kept["a"]])
        np.testing.assert_array_equal(held["b"], w["b"])
        others, were = held["a"][~kept["a"]], w["a"][~kept["a"]]
        if rest == "zero":
            assert not others.any()
        elif rest == "flatten":
            assert np.allclose(np.abs(others), np.abs(others)[0]) and (np.sign(others) == np.sign(were)).all()
            assert np.linalg.norm(others) == pytest.approx(np.linalg.norm(were), rel=1e-6)
        else:
            np.testing.assert_array_equal(np.sort(others), np.sort(were))
            assert (others != were).any()


def test_flat_and_back() -> None:
    t = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(4.0).reshape(2, 2)}
    for n, back in unflat(flat(t), t).items():
        np.testing.assert_array_equal(back, t[n])


# -- refusals -----------------------------------------------------------------------------------------


def test_what_is_lacking_is_said(descent: Descent, place: Place) -> None:
    with pytest.raises(ParameterError, match="fisher"):
        tether(place, "fischer")
    with pytest.raises(ViewError, match="Sequential without attention"):
        tether(place, "attention")
    with pytest.raises(ViewError, match="where the descent began"):
        tether(at_step(descent, 0), "movement")
    with pytest.raises(MissingError, match="nearest are at"):
        at_step(descent, next(s for s in range(30) if s not in descent.weight_steps))
    with pytest.raises(MissingError, match="optimizer_state=True"):
        tether(at_network(place.network), "adam")
    with pytest.raises(ViewError, match="a probe"):
        tether(at_network(place.network), "fisher")
    with pytest.raises(DataError, match="no samples"):
        tether(place, "fisher", samples=np.empty(0, int))
    assert set(available(place)) == {"attention"}
    assert set(available(at_network(place.network))) == {*SAMPLED, "movement", "adam"}


def test_a_loss_that_is_no_likelihood_has_no_true_fisher() -> None:
    net = nn.Linear(3, 1)
    with pytest.raises(ViewError, match="Ask for 'fisher'"):
        tether(at_network(net, Probe.of(torch.randn(4, 3), torch.randn(4, 1), "l1")), "fisher_true")


def test_weights_without_edges_or_not_finite_are_refused() -> None:
    with pytest.raises(ViewError, match="no edges"):
        at_network(nn.LayerNorm(4))
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight[0, 0] = float("nan")
    with pytest.raises(DataError, match="weight has numbers that aren't finite"):
        at_network(net)


def test_embeddings_are_no_edges_and_groups_have_no_graph() -> None:
    net = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3))
    assert set(at_network(net).weights) == {"1.weight"}
    with pytest.raises(ViewError, match="convolution in 2 groups"):
        tether(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "centrality")
    with pytest.raises(ViewError, match="transposed"):
        tether(nn.Sequential(nn.ConvTranspose2d(4, 4, 3)), "centrality")


def test_weights_alone_have_what_weights_give() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"loss": [1.0, 0.5]}, index=[0, 1])
    bare = wb.Trajectory(table, weights={s: {"w": rng.standard_normal((3, 4))} for s in (0, 1)})
    place = at_step(bare.view(Descent))
    assert set(SOURCES) - set(available(place)) == {"movement", "centrality", "magnitude", "random"}
    assert tether(place, "movement")["w"].shape == (3, 4)


def test_a_diverged_loss_is_refused_by_the_source() -> None:
    net = nn.Linear(2, 1)
    place = at_network(net, Probe.of(np.full((4, 2), 1e30, np.float32), np.zeros((4, 1), np.float32), "mse"))
    with pytest.raises(DataError, match="isn't finite on the probe"):
        tether(place, "fisher")
