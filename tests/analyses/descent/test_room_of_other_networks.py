"""The room of networks with convolutions, normalization, attention, tied weights and recurrence: answered, and right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import hand_made_descent
from torch import nn

import workbench as wb
from workbench.numerics.objectives import Probe
from workbench.numerics.per_sample import sample_gradients, subset


class Tied(nn.Module):
    """A transformer whose last layer has the embedding's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.enc = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 11)
        self.head.weight = self.emb.weight

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.enc(self.emb(input_ids)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 6, batch_first=True)
        self.out = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])


def networks() -> dict[str, tuple[nn.Module, Probe]]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(64, 3))
    tokens = rng.integers(0, 11, (20, 6))
    return {
        "convolution": (
            image,
            Probe(
                rng.standard_normal((20, 1, 6, 6)).astype(np.float32), rng.integers(0, 3, 20), "cross_entropy"
            ),
        ),
        "tied": (Tied(), Probe({"input_ids": tokens}, tokens, "next_token")),
        "recurrent": (
            Recurrent(),
            Probe(
                rng.standard_normal((20, 5, 4)).astype(np.float32), rng.integers(0, 5, 20), "cross_entropy"
            ),
        ),
    }


NETWORKS = networks()


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradients_of_samples_equal_backward(kind: str) -> None:
    network, probe = NETWORKS[kind]
    network = network.eval()
    names = [n for n, _ in network.named_parameters()]
    found = sample_gradients(network, probe, names)
    for i in (0, 7):
        network.zero_grad()
        subset(probe, np.array([i])).evaluate(network).backward()
        for name, p in network.named_parameters():
            np.testing.assert_allclose(found.by_name[name][i], p.grad.reshape(-1), atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("hessian_spectrum", {"lanczos_steps": 10, "trace_draws": 3}),
        ("hessian_density", {"lanczos_steps": 5, "starts": 2}),
        ("gradient_rank", {}),
        ("activation_rank", {}),
        ("output_entropy", {}),
        ("sameness", {}),
    ],
)
def test_every_measure_answers(kind: str, method: str, settings: dict[str, Any]) -> None:
    network, probe = NETWORKS[kind]
    d = hand_made_descent(network.eval(), probe.x, probe.y, probe.loss)
    found = getattr(wb, method)(d, n_null=2, **settings)
    assert np.isfinite(found.y).all()
    assert not found.caveat or "of 9 layers" in found.caveat, found.caveat  # nothing was taken one by one
