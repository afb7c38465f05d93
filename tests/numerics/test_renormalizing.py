"""Renormalizations keep the function that they promise to keep, make what they are named for, and refuse by name the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import tethers
from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import OPERATORS, PRESERVED, Settings, act, moved
from workbench.numerics.renormalizing.layers import folded
from workbench.numerics.renormalizing.whitening import FLOOR

PRESERVING = [n for n, o in OPERATORS.items() if o.preserves]
FOLDED = ("whitening", "flattening", "weight_norm")


def perceptron(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 7), nn.ReLU(), nn.Dropout(0.1), nn.Linear(7, 3)
    ).to(dtype)


def convolutional(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(1)
    parts = [
        nn.Conv2d(2, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 4, 3, stride=2),
        nn.ReLU(),
    ]
    net = nn.Sequential(*parts, nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 3))
    net[1].running_mean.normal_()
    net[1].weight.data.uniform_(0.5, 2)
    return net.to(dtype)


def data_for(network: nn.Module, n: int = 60) -> Probe:
    rng = np.random.default_rng(0)
    first = next(network.parameters())
    dtype = {torch.float32: np.float32, torch.float64: np.float64}[first.dtype]
    shape = (n, 2, 16, 16) if first.ndim == 4 else (n, first.shape[1])
    x = (rng.standard_normal(shape) * rng.uniform(0.2, 3, shape[1:]) + 0.5).astype(dtype)
    return Probe(x, rng.integers(0, 3, n), "cross_entropy")


@pytest.mark.parametrize("make", [perceptron, convolutional])
@pytest.mark.parametrize("name", PRESERVING)
def test_the_function_is_preserved_and_was_left_alone(name: str, make: Any) -> None:
    for dtype, limit in ((torch.float32, PRESERVED), (torch.float64, 1e-12)):
        network = make(dtype)
        before = {n: p.clone() for n, p in network.state_dict().items()}
        made = act(name, network, data_for(network), Settings(), 3)
        assert made.moved <= limit
        other = data_for(network)  # and on data that it wasn't measured on
        fresh = Probe(other.x[::-1] * 1.7 - 0.3, other.y, other.loss)
        assert moved(network, made.network, fresh) <= limit
        assert all(torch.equal(before[n], p) for n, p in network.state_dict().items())
        assert len({n for n, _ in made.network.named_parameters()} ^ set(before)) > 0 or name == "widening"


@pytest.mark.parametrize("make", [perceptron, convolutional])
@pytest.mark.parametrize("name", FOLDED)
def test_factors_fold_into_a_weight_of_the_old_shape_after_further_descent(name: str, make: Any) -> None:
    network = make(torch.float64)
    data = data_for(network)
    made = act(name, network, data).network
    optimizer = torch.optim.SGD(made.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        data.evaluate(made).backward()
        optimizer.step()
    plain = folded(made)
    assert {n: p.shape for n, p in plain.named_parameters()} == {
        n: p.shape for n, p in network.named_parameters()
    }
    assert moved(made, plain, data) < 1e-12 < moved(network, plain, data)
    assert type(plain[0]) is type(network[0]) and parametrize.is_parametrized(made[0])


def test_known_answer_whitened_inputs_are_white_and_gradients_are_preconditioned() -> None:
    rng = np.random.default_rng(1)
    mixed = rng.standard_normal((4000, 6)) @ rng.standard_normal((6, 6))
    network = nn.Linear(6, 2, dtype=torch.float64)
    data = Probe(mixed, rng.standard_normal((4000, 2)), "mse")
    made = act("whitening", network, data).network
    root = made.parametrizations.weight[0].root.double().numpy()
    moments = mixed.T @ mixed / len(mixed)
    values, vectors = np.linalg.eigh(moments)
    white = root @ moments @ root
    kept = values >= FLOOR * values.mean()  # others aren't blown up
    inside = vectors[:, kept].T @ white @ vectors[:, kept]
    np.testing.assert_allclose(inside, inside[0, 0] * np.eye(kept.sum()), atol=1e-5 * inside[0, 0])
    np.testing.assert_allclose(np.trace(white), np.trace(moments), rtol=1e-5)  # the power stays
    data.evaluate(network).backward()
    data.evaluate(made).backward()
    np.testing.assert_allclose(
        made.parametrizations.weight.original.grad, network.weight.grad.numpy() @ root, rtol=1e-5
    )


def test_known_answer_flattening_is_the_polar_decomposition() -> None:
    from scipy.linalg import polar

    network = nn.Sequential(nn.Linear(8, 5, dtype=torch.float64))
    made = act("flattening", network, data_for(network)).network
    m, v = (p.detach().numpy() for p in made[0].parametrizations.weight.parameters())
    s = np.linalg.svd(v, compute_uv=False)
    np.testing.assert_allclose(s, s[0])
    unitary, positive = polar(network[0].weight.detach().numpy(), side="left")
    np.testing.assert_allclose(m * s[0], positive, atol=1e-12)
    np.testing.assert_allclose(v / s[0], unitary, atol=1e-12)


def test_peer_weight_norm_is_torch_s() -> None:
    network = nn.Sequential(nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 2))
    data = data_for(network)
    ours = act("weight_norm", network, Probe(data.x, data.y % 2, data.loss), Settings(layers="0")).network
    import copy

    theirs = copy.deepcopy(network)
    nn.utils.parametrizations.weight_norm(theirs[0])
    for net in (ours, theirs):
        Probe(data.x, data.y % 2, data.loss).evaluate(net).backward()
    for a, b in zip(
        ours[0].parametrizations.weight.parameters(),
        theirs[0].parametrizations.weight.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a.grad, b.grad)


def test_batch_norm_normalizes_by_each_batch_in_training() -> None:
    network = perceptron(torch.float64)
    data = data_for(network)
    made = act("batch_norm", network, data).network
    assert [n for n, m in made.named_modules() if isinstance(m, nn.BatchNorm1d)] == ["0.1", "2.1"]
    x, _ = data.tensors(network)
    batch = x[:10] * 3
    made.train()[4].p = 0.0
    seen = made[0](batch)
    y = network[0](batch)
    norm = made[0][1]
    expected = (y - y.mean(0)) / (y.var(0, unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(seen, expected)


def test_known_answer_copies_of_units_share_what_they_send_on_and_part() -> None:
    network = perceptron(torch.float64)
    data = data_for(network)
    made = act("widening", network, data, Settings(widening=2.0, noise=0.2), 5).network
    assert [tuple(made[i].weight.shape) for i in (0, 2, 5)] == [(18, 12), (14, 18), (3, 14)]
    assert made[2].in_features == made[0].out_features == 18
    first = made[0].weight.detach()
    for unit in range(9):
        same = [i for i in range(18) if torch.equal(first[i], network[0].weight[unit])]
        sent = made[2].weight.detach()[:7, same].sum(1)
        torch.testing.assert_close(sent, network[2].weight.detach()[:, unit])
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    copies = [(i, j) for i in range(18) for j in range(i) if torch.equal(first[i], first[j])]
    data.evaluate(made.eval()).backward()
    optimizer.step()
    assert copies and all(not torch.equal(made[0].weight[i], made[0].weight[j]) for i, j in copies)
    even = act("widening", network, data, Settings(noise=0.0), 5).network  # Net2Net's own shares
    row = even[2].weight.detach()[:7]
    for unit in range(9):
        same = [
            i for i in range(len(even[0].weight)) if torch.equal(even[0].weight[i], network[0].weight[unit])
        ]
        torch.testing.assert_close(
            row[:, same], network[2].weight.detach()[:, [unit]].expand(-1, len(same)) / len(same)
        )


def test_shrink_and_perturb_does_what_it_says() -> None:
    network = nn.Linear(200, 300)
    x = np.zeros((4, 200), np.float32)
    made = act(
        "shrink_perturb",
        network,
        Probe(x, np.zeros((4, 300), np.float32), "mse"),
        Settings(shrink=0.4, noise=0.3),
        1,
    )
    w, changed = network.weight.detach(), made.network.weight.detach()
    noise = changed - 0.4 * w
    assert abs(float(noise.std() / w.std()) - 0.3) < 0.01 and abs(float(noise.mean())) < 1e-3
    assert abs(float((noise * w).mean() / w.var())) < 0.01


def test_known_answer_tethered_edges_stay_and_others_have_one_size() -> None:
    network = perceptron()
    data = data_for(network)
    made = act("tethering", network, data, Settings(tethered=0.2)).network
    kept = tethers.top(tethers.tether(tethers.at_network(network, data), "gradient_weight"), 0.2)
    for name, mask in kept.items():
        before, after = (dict(n.named_parameters())[name].detach().numpy() for n in (network, made))
        np.testing.assert_allclose(before[mask], after[mask], rtol=1e-6)
        sizes = np.abs(after[~mask])
        np.testing.assert_allclose(sizes, sizes[0], rtol=1e-5)
        np.testing.assert_array_equal(np.sign(before[~mask]), np.sign(after[~mask]))
        np.testing.assert_allclose(np.linalg.norm(before), np.linalg.norm(after), rtol=1e-5)
    half = act("tethering", network, data, Settings(tethered=0.2, strength=0.5)).network
    both = [n[0].weight.detach() for n in (network, made)]
    torch.testing.assert_close(half[0].weight.detach(), sum(both) / 2)
    nothing = act("tethering", network, data, Settings(strength=0.0))
    assert nothing.moved < 1e-6 and OPERATORS["tethering"].preserves is False


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.look.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.mix(self.look(x))))


def tokens() -> Probe:
    return Probe(np.arange(24).reshape(4, 6) % 11, np.arange(24).reshape(4, 6) % 11, "next_token")


@pytest.mark.parametrize("name", ["whitening", "flattening", "weight_norm", "tethering"])
def test_a_tied_weight_is_refused_by_name_and_others_are_acted_on(name: str) -> None:
    made = act(name, Tied(), tokens())
    assert made.acted == ("mix",)
    said = {k: v for k, v in made.refused.items() if k == "out"}
    assert name == "tethering" or ("look.weight" in said["out"] and "tied" in said["out"])
    with pytest.raises(DataError if name != "tethering" else (DataError, ParameterError), match=r"out"):
        act(name, Tied(), tokens(), Settings(layers="out"))


def test_what_cannot_be_preserved_is_refused_with_the_reason() -> None:
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    x = Probe(
        np.random.default_rng(0).standard_normal((5, 4, 4, 4)).astype(np.float32),
        np.zeros(5, int),
        "cross_entropy",
    )
    for name in FOLDED:
        made = act(name, grouped, x)
        assert made.acted == ("3",) and "convolution in 2 groups" in made.refused["0"]
    with pytest.raises(DataError, match="groups=2"):
        act("widening", grouped, x)
    with pytest.raises(DataError, match="sequence"):
        act("batch_norm", Tied(), tokens(), Settings(layers="mix"))
    with pytest.raises(DataError, match="Embedding"):
        act("widening", Tied(), tokens())
    normed = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    rows = Probe(np.ones((4, 3), np.float32), np.zeros(4, int), "cross_entropy")
    with pytest.raises(DataError, match="layer normalization"):
        act("widening", normed, rows)
    with pytest.raises(DataError, match="no hidden units"):
        act("widening", nn.Sequential(nn.Linear(3, 2)), rows)
    dead = nn.Sequential(nn.Linear(3, 2))
    nn.init.zeros_(dead[0].weight)
    for name, why in (
        ("weight_norm", "2 rows of zeros"),
        ("flattening", "weight of zeros"),
        ("batch_norm", "gives the answer"),
    ):
        with pytest.raises(DataError, match=why):
            act(name, dead, rows)
    frozen = nn.Sequential(nn.Linear(3, 2).requires_grad_(False))
    with pytest.raises(DataError, match="isn't trained"):
        act("whitening", frozen, rows)
    with pytest.raises(ParameterError, match=r"layers='9'.*no layer"):
        act("whitening", dead, rows, Settings(layers="9"))
    recurrent = nn.Sequential(nn.Bilinear(3, 3, 2))
    with pytest.raises(DataError, match="is of the kind Bilinear"):

        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.both = recurrent[0]

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.both(x, x)

        act("flattening", Two(), rows)
    once = act("whitening", perceptron(), data_for(perceptron())).network
    with pytest.raises(DataError, match="parametrization already"):
        act("flattening", once, data_for(perceptron()))


def test_a_function_that_moves_where_it_must_not_is_refused() -> None:
    class Peeking(nn.Module):
        """Its answer depends on a weight beside multiplying by it, so that factors change it."""

        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 4)
            self.two = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scale = sum(p.detach().square().sum() for n, p in self.one.named_parameters() if "weight" in n)
            return self.two(self.one(x) * scale)

    rows = Probe(
        np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32), np.zeros(6, int), "cross_entropy"
    )
    with pytest.raises(DataError, match="doesn't preserve the function"):
        act("flattening", Peeking(), rows)
