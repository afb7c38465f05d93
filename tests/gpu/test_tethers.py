"""Tethers and ablations on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from workbench.numerics.ablation import sample_losses
from workbench.numerics.objectives import Probe
from workbench.numerics.tethers import SAMPLED, Place, at_network, resampled, tether

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.last = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.attention(x, x, x)[0].mean(1))


@pytest.fixture(scope="module")
def place() -> Place:
    torch.manual_seed(0)
    return at_network(Attentive(), Probe.of(torch.randn(50, 6, 16), torch.randint(3, (50,)), "cross_entropy"))


@pytest.mark.parametrize("source", [s for s in SAMPLED if s != "movement_score"])
def test_sampled_sources_equal_the_cpu(place: Place, source: str) -> None:
    there, here = tether(place, source, device="cuda"), tether(place, source)
    for n, t in here.items():
        scale = float(t.max())
        np.testing.assert_allclose(there[n], t, rtol=5e-3, atol=5e-4 * scale, err_msg=n)
    assert next(place.network.parameters()).device.type == "cpu"


def test_choices_of_samples_equal_the_cpu(place: Place) -> None:
    counts = np.random.default_rng(0).integers(0, 2, (3, 50))
    for a, b in zip(
        resampled(place, "fisher", counts, device="cuda"), resampled(place, "fisher", counts), strict=True
    ):
        for n in a:
            np.testing.assert_allclose(a[n], b[n], rtol=5e-3, atol=5e-4 * float(b[n].max()))


@pytest.mark.parametrize("measure", ["loss", "error"])
def test_ablations_equal_the_cpu(place: Place, measure: str) -> None:
    rng = np.random.default_rng(0)
    variants = [
        {n: np.where(rng.random(w.shape) < 0.3, 0, w) for n, w in place.weights.items()} for _ in range(5)
    ]
    there, here = (
        sample_losses(place, variants, np.arange(50), measure=measure, device=d) for d in ("cuda", "cpu")
    )
    np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-3)
