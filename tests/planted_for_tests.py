"""Networks in which the edges that matter are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

import workbench as wb

INPUTS, HIDDEN, MATTER = 12, 8, 4


def trajectory(
    net: nn.Module, x: np.ndarray, y: np.ndarray, loss: str, start: nn.Module | None = None
) -> wb.Trajectory:
    """Weights at steps 0 (of ``start``, or zeros) and 10, with network and probe."""
    weights = {
        step: {
            n: p.detach().numpy().copy() if step or start else np.zeros(p.shape, np.float32)
            for n, p in m.named_parameters()
        }
        for step, m in ((0, start or net), (10, net))
    }
    table = pd.DataFrame({"loss": np.ones(11)}, index=np.arange(11))
    return wb.Trajectory(table, weights=weights, name="planted").with_model(net).with_probe(x, y, loss)


def where_magnitude_fails(seed: int = 0, n: int = 256) -> tuple[wb.Trajectory, np.ndarray]:
    """Small edges that matter among large ones that don't; True where a first-layer edge matters.

    Four inputs feed a unit each by weights of 0.5. Two inputs are always zero, two units never fire (their bias is
    -1000), and the weights there are 3: removing these changes nothing. All other weights are 0.01, from inputs that hardly vary.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, INPUTS)).astype(np.float32)
    x[:, MATTER:10] *= 0.05
    x[:, 10:] = 0
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    w = 0.01 * rng.standard_normal((HIDDEN, INPUTS))
    w[:, 10:] = 3 * rng.choice([-1, 1], (HIDDEN, 2))
    w[6:] = 3 * rng.choice([-1, 1], (2, INPUTS))
    matters = np.zeros((HIDDEN, INPUTS), bool)
    matters[range(MATTER), range(MATTER)] = True
    w[matters] = 0.5
    out = np.full((1, HIDDEN), 0.01)
    out[0, :MATTER], out[0, 6:] = 2, 5
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(w))
        net[0].bias.copy_(torch.tensor([0.0] * 6 + [-1000.0] * 2))
        net[2].weight.copy_(torch.tensor(out))
        net[2].bias.zero_()
        y = net(torch.tensor(x)).numpy() + 0.3 * rng.standard_normal((n, 1)).astype(np.float32)
    return trajectory(net, x, y, "half_squared_error"), matters


def where_magnitude_is_right(seed: int = 0, n: int = 256) -> wb.Trajectory:
    """Linear regression on white inputs: an edge's removal costs half its square, and the true Fisher information is flat."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 20)).astype(np.float32)
    net = nn.Linear(20, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor(np.geomspace(0.05, 2, 20)[rng.permutation(20)][None]))
        y = net(torch.tensor(x)).numpy() + 0.1 * rng.standard_normal((n, 1)).astype(np.float32)
    return trajectory(net, x, y, "half_squared_error")
