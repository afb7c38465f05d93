"""Many weights at once equal one after another; directions, random walks and random planes as they are known to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.numerics.gram import coordinates
from workbench.numerics.landscapes import (
    Plane,
    plane_shares,
    principal_directions,
    random_direction,
    scaled_like,
    walk_shares,
)
from workbench.numerics.objectives import Probe
from workbench.numerics.resampling import random_frame

LINE = np.linspace(-1, 1, 7)
GRID = np.stack(np.meshgrid(LINE, LINE), axis=-1).reshape(-1, 2)


def plane(network: torch.nn.Module, probe: Probe, **how: object) -> Plane:
    origin = {n: p.detach().numpy().copy() for n, p in network.named_parameters()}
    rng = np.random.default_rng(0)
    return Plane(network, probe, origin, [random_direction(origin, "filter", rng) for _ in range(2)], **how)


def images(loss: str = "cross_entropy") -> Probe:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 1, 6, 6)).astype(np.float32)
    y = rng.integers(0, 3, 12) if loss == "cross_entropy" else rng.standard_normal((12, 3)).astype(np.float32)
    return Probe(x, y, loss)


def convolutional() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.GELU(),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 3),
    ).eval()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "half_squared_error", "l1"])
def test_all_at_once_equals_one_by_one(loss: str) -> None:
    p = plane(convolutional(), images(loss))
    together = p.losses(GRID)
    assert not p.one_by_one
    np.testing.assert_allclose(together, p.alone(GRID), rtol=2e-5)
    np.testing.assert_allclose(p.losses(GRID, samples=True).mean(axis=1), together, rtol=1e-5)


def test_few_points_at_once_under_a_small_cap_give_the_same() -> None:
    p, small = plane(convolutional(), images()), plane(convolutional(), images(), cap=20_000)
    assert 1 <= small._chunk(len(GRID)) < 5
    np.testing.assert_allclose(small.losses(GRID), p.losses(GRID), rtol=1e-6)


class Branching(torch.nn.Module):
    """What it computes depends on its numbers, which no mapping over weights can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.inner(x.flatten(1))
        return made if made.sum().item() > 0 else -made


def test_a_network_that_cannot_be_mapped_is_evaluated_point_by_point() -> None:
    p = plane(Branching(), images())
    found = p.losses(GRID)
    assert "item" in p.one_by_one or "vmap" in p.one_by_one
    np.testing.assert_allclose(found, p.alone(GRID), rtol=1e-5)


def test_filters_get_the_lengths_of_the_networks() -> None:
    w = {"w": np.random.default_rng(0).standard_normal((4, 3, 2)), "b": np.ones(4)}
    rng = np.random.default_rng(1)
    d = random_direction(w, "filter", rng)
    np.testing.assert_allclose(
        np.linalg.norm(d["w"].reshape(4, -1), axis=1), np.linalg.norm(w["w"].reshape(4, -1), axis=1)
    )
    assert not d["b"].any()
    layer = random_direction(w, "layer", rng)
    assert np.linalg.norm(layer["b"]) == pytest.approx(2)
    none = random_direction(w, "none", rng)
    assert sum(np.square(a).sum() for a in none.values()) == pytest.approx(1)
    assert not scaled_like(np.ones(3), np.zeros(3), "layer").any()


def test_principal_directions_are_those_of_the_flattened_path() -> None:
    d = wb.digits_descent(width=8, depth=1, steps=40)
    weights = [d.weights(s) for s in d.weight_steps]
    placed = coordinates(weights, d.parameter_names)
    axes = principal_directions(weights, placed, d.parameter_names, 2)
    rows = np.stack([w.vector() for w in weights]).astype(np.float64)
    _, _, known = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    flat = np.stack([np.concatenate([a[n].ravel() for n in d.parameter_names]) for a in axes])
    np.testing.assert_allclose(np.abs(flat @ known[:2].T), np.eye(2), atol=1e-5)


def test_a_long_random_walk_is_as_antognini_and_sohl_dickstein_found() -> None:
    rng = np.random.default_rng(0)
    assert walk_shares(np.ones(400), 10**6, 1, rng) == pytest.approx(6 / np.pi**2, abs=0.01)
    assert walk_shares(np.ones(400), 10**6, 2, rng) == pytest.approx(6 / np.pi**2 * 1.25, abs=0.01)
    few = [walk_shares(np.ones(9), 30, 2, rng) for _ in range(300)]
    plain = []
    for _ in range(300):  # the same by making the walks
        steps = rng.standard_normal((9, 30))
        path = np.vstack(
            [np.zeros(30), np.cumsum(steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)]
        )
        s = np.linalg.svd(path - path.mean(axis=0), compute_uv=False) ** 2
        plain.append(s[:2].sum() / s.sum())
    assert np.mean(few) == pytest.approx(np.mean(plain), abs=0.015)
    assert np.std(few) == pytest.approx(np.std(plain), rel=0.25)


@pytest.mark.parametrize("dimensions", [6, 40])
def test_random_planes_hold_what_frames_drawn_whole_hold(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    variances = np.array([4.0, 2.0, 1.0, 0.5])
    ours = [plane_shares(variances, dimensions, 2, rng) for _ in range(600)]
    whole = [
        (np.square(random_frame(dimensions, 2, rng)[:4]).sum(axis=1) * variances).sum() / variances.sum()
        for _ in range(600)
    ]
    assert np.mean(ours) == pytest.approx(2 / dimensions, rel=0.1)
    assert np.quantile(ours, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(whole, [0.1, 0.5, 0.9]), rel=0.15)
