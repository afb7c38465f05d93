"""Arms trained on the GPU end where they end on the CPU, at once or one by one."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from workbench.analyses.descent import _arms
from workbench.numerics.objectives import Probe
from workbench.numerics.optimizers import optimizer_of
from workbench.numerics.renormalizing import OPERATORS, Settings

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


def task(convolutional: bool) -> tuple[nn.Module, Probe, Probe]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    if convolutional:
        net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4))
        x = rng.standard_normal((300, 1, 8, 8))
    else:
        net = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 4))
        x = rng.standard_normal((300, 10))
    y = rng.integers(0, 4, 300)
    probe = Probe(x, y, "cross_entropy")
    return net.double(), Probe(x[:200], y[:200], "cross_entropy"), Probe(x[200:], y[200:], probe.loss)


def plan(device: str) -> _arms.Plan:
    return _arms.Plan(
        tuple(OPERATORS),
        20,
        4,
        16,
        Settings(),
        3e-3,
        (2.0, 8.0),
        1.0,
        partial(optimizer_of, "adam"),
        None,
        0,
        device,
    )


@pytest.mark.parametrize("convolutional", [False, True])
def test_peer_the_cpu_ends_at_the_same_losses(convolutional: bool) -> None:
    found: dict[str, Any] = {d: _arms.run(*task(convolutional), plan(d)) for d in ("cpu", "cuda")}
    assert not found["cuda"].one_by_one
    assert [a.name for a in found["cpu"].arms] == [a.name for a in found["cuda"].arms]
    for a, b in zip(found["cpu"].arms, found["cuda"].arms, strict=True):
        # before a batch norm, a bias has no gradient but rounding, which Adam makes steps of
        np.testing.assert_allclose(a.losses, b.losses, rtol=1e-3 if a.operator == "batch_norm" else 1e-6)
