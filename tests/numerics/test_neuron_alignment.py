"""Neurons in one order: planted permutations come back exactly, the function stays, and what isn't a chain is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from workbench.core.errors import DataError
from workbench.numerics.neuron_alignment import (
    agreement,
    hidden_activations,
    inverse,
    match_activations,
    match_forward,
    match_weights,
    permuted,
)
from workbench.numerics.neuron_chain import chain_of


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 5)
    )


class Convolutions(nn.Module):
    """As many write it: functions between layers, flattened by view."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.two = nn.Conv2d(6, 8, 3)
        self.three, self.four = nn.Linear(8 * 4, 10), nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.one(x))), 2)
        x = F.relu(self.two(x))
        x = x.view(x.size(0), -1)
        return self.four(F.relu(self.three(x)))


def state(network: nn.Module) -> dict[str, np.ndarray]:
    return {n: t.detach().numpy() for n, t in network.state_dict().items()}


CASES = [(perceptron, (30, 12)), (Convolutions, (7, 1, 8, 8))]


@pytest.fixture(params=CASES, ids=["perceptron", "convolutions"])
def planted(request: pytest.FixtureRequest):
    """A network, its chain, inputs, and the same network with its neurons in another order."""
    make, shape = request.param
    torch.manual_seed(0)
    network = make()
    x = torch.randn(*shape)
    for _ in range(3):
        network.train()(torch.randn(*shape) + 1)  # running moments that aren't 0 and 1
    network.eval()
    chain = chain_of(network)
    rng = np.random.default_rng(1)
    order = [rng.permutation(layer.width) for layer in chain[:-1]]
    return network, chain, x, order, permuted(chain, state(network), order)


def put(network: nn.Module, weights: dict[str, np.ndarray]) -> None:
    network.load_state_dict({n: torch.from_numpy(np.array(w)) for n, w in weights.items()})


def test_function_is_unchanged_by_a_permutation(planted) -> None:
    network, _, x, _, other = planted
    with torch.no_grad():
        before = network(x)
        changed = any(not np.array_equal(w, state(network)[n]) for n, w in other.items())
        put(network, other)
        assert changed
        assert torch.allclose(network(x), before, atol=1e-5)


def test_planted_permutation_is_recovered_exactly_from_weights(planted) -> None:
    network, chain, _, order, other = planted
    for match in (match_weights, match_forward):
        found = match(chain, state(network), other)
        for p, q in zip(found, inverse(order), strict=True):
            assert np.array_equal(p, q)
    assert agreement(chain, state(network), other) < 0.9
    again = permuted(chain, other, found)
    assert all(np.array_equal(again[n], w) for n, w in state(network).items())


def test_planted_permutation_is_recovered_exactly_from_activations(planted) -> None:
    network, chain, x, order, other = planted
    mine = hidden_activations(chain, network, x)
    put(network, other)
    theirs = hidden_activations(chain, network, x)
    for p, q in zip(match_activations(mine, theirs), inverse(order), strict=True):
        assert np.array_equal(p, q)


def test_planted_permutation_is_recovered_through_noise() -> None:
    torch.manual_seed(0)
    network = perceptron()
    chain = chain_of(network)
    rng = np.random.default_rng(0)
    order = [rng.permutation(layer.width) for layer in chain[:-1]]
    noisy = {
        n: w + 0.3 * w.std() * rng.standard_normal(w.shape).astype(w.dtype) for n, w in state(network).items()
    }
    found = match_weights(chain, state(network), permuted(chain, noisy, order))
    assert all(np.array_equal(p, q) for p, q in zip(found, inverse(order), strict=True))


def test_matching_never_agrees_less_than_leaving_neurons_in_place() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        one, two = perceptron(), perceptron()
        chain = chain_of(one)
        a, b = state(one), state(two)
        matched = permuted(chain, b, match_weights(chain, a, b, random_state=seed))
        assert agreement(chain, a, matched) > agreement(chain, a, b)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.one(x)
        return x + self.two(x)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(self.one(x).relu())


class Branching(nn.Module):
    """The answer depends on the data: no symbols can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) if x.sum() > 0 else x


def tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    network[2].weight = network[0].weight
    return network


@pytest.mark.parametrize(
    ("network", "named", "why"),
    [
        (Residual(), "add", "residual"),
        (Twice(), "one.weight", "used twice"),
        (tied(), "2.weight", "tied weights"),
        (nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 2, 3)), "0", "groups=2"),
        (nn.Sequential(nn.Linear(4, 8), nn.GLU(), nn.Linear(4, 2)), "1", "GLU"),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 2, 3)), "1", "GroupNorm"),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Linear(8, 2)), "2", "which input belongs"),
        (nn.Sequential(nn.Linear(4, 8), nn.MaxPool1d(2), nn.Linear(4, 2)), "1", "pools over neurons"),
        (nn.TransformerEncoderLayer(8, 2, 16), "TransformerEncoderLayer", "can't be followed"),
        (Branching(), "Branching", "can't be followed"),
        (nn.Sequential(nn.ReLU()), "Sequential", "no weighted layer"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_refuses_what_is_no_chain_by_name(network: nn.Module, named: str, why: str) -> None:
    with pytest.raises(DataError) as refusal:
        chain_of(network, "net")
    said = str(refusal.value)
    assert named in said and why in said and "Supported" in said


def test_refuses_other_widths_missing_and_nonfinite_tensors() -> None:
    one, two = (
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)),
    )
    chain = chain_of(one)
    with pytest.raises(DataError, match="same widths"):
        match_weights(chain, state(one), state(two))
    with pytest.raises(DataError, match="missing in the second"):
        match_weights(chain, state(one), {})
    broken = state(one)
    broken["0.bias"] = broken["0.bias"] * np.nan
    with pytest.raises(DataError, match="NaN"):
        match_weights(chain, state(one), broken)
