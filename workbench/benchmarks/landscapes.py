"""Loss landscapes: all points of a plane at once beside the plain loop over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.benchmarks.contests import Contender, Contest
from workbench.benchmarks.rows import Setting
from workbench.numerics.objectives import Probe

WIDTH = 960  # of two hidden layers: 994,570 parameters
SAMPLES = 256


def plane_of(device: str, width: int = WIDTH, samples: int = SAMPLES) -> Any:
    """Two random filter-normalized directions about a perceptron on scikit-learn's digits."""
    import torch
    from sklearn.datasets import load_digits

    from workbench.numerics.landscapes import Plane, random_direction

    images, classes = load_digits(return_X_y=True)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(64, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 10),
    ).eval()
    origin = {n: p.detach().numpy().copy() for n, p in network.named_parameters()}
    rng = np.random.default_rng(0)
    directions = [random_direction(origin, "filter", rng) for _ in range(2)]
    probe = Probe((images[:samples] / 16).astype(np.float32), classes[:samples], "cross_entropy")
    return Plane(network, probe, origin, directions, device=device)


def grid(points: int) -> np.ndarray:
    """The coordinates of points × points places, (points², 2)."""
    axis = np.linspace(-1, 1, points)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def landscape(setting: Setting, n: int) -> Iterator[Contest]:
    """Loss on a plane through a perceptron of a million parameters, 256 samples."""
    plane = plane_of(setting.device)
    at = grid(max(3, round(n * setting.scale)))
    known = plane.losses(at)

    def judge(values: Any) -> dict[str, float]:
        return {"largest relative difference": float(np.abs(values / known - 1).max())}

    size = sum(plane.sizes)
    yield Contest(
        f"landscape, {len(at):,} points, {size:,} parameters, {SAMPLES} samples",
        (
            Contender("ours", lambda: lambda: plane.losses(at), ours=True),
            Contender("one by one", lambda: lambda: plane.alone(at)),
        ),
        judge,
    )
