"""A sparse filtration's barcode is within its bound of the exact one, and exact where nothing is left out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import sparse_rips as module
from workbench.numerics.rips import rips
from workbench.numerics.sparse_rips import greedy_order, sparse_rips

RNG = np.random.default_rng(6)


def sphere(n: int, d: int) -> np.ndarray:
    x = RNG.normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def torus(n: int) -> np.ndarray:
    a, b = RNG.uniform(0, 2 * np.pi, (2, n))
    return np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], 1)


CLOUDS = {
    "circle": (sphere(300, 1) + 0.02 * RNG.normal(size=(300, 2)), 1),
    "torus": (torus(250), 1),
    "sphere": (sphere(80, 2), 2),
    "gaussian": (RNG.normal(size=(150, 2)), 1),
    "groups": (RNG.normal(size=(150, 2)) + 40 * RNG.integers(0, 3, size=(150, 1)), 1),
    "duplicates": (np.repeat(RNG.normal(size=(40, 2)), 3, axis=0), 2),
    "grid": (np.argwhere(np.ones((12, 12))).astype(float), 1),
    "line": (np.arange(60.0)[:, None] ** 2, 1),
    "two": (np.eye(2), 1),
}


def log_bottleneck_is_within(a: np.ndarray, b: np.ndarray, factor: float) -> bool:
    """Whether bars match so that every birth and death of ``a`` is at most ``factor`` times that of ``b``, and not less.

    A bar that isn't longer than ``factor`` may go unmatched.
    """
    slack = 1 + 1e-5

    def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = x[:, None], y[None]
        return ~(((x == y) | ((x >= y / slack) & (x <= factor * y * slack))).all(axis=2))

    bad = np.zeros((len(a) + len(b),) * 2, bool)
    bad[: len(a), : len(b)] = apart(a, b)
    for bars, part in ((a, bad[: len(a), len(b) :]), (b, bad[len(a) :, : len(b)].T)):
        part[:] = (bars[:, 1] > factor * bars[:, 0] * slack)[:, None]
    i, j = linear_sum_assignment(bad)
    return not bad[i, j].any()


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", CLOUDS)
def test_bars_are_within_the_bound(name: str, epsilon: float) -> None:
    x, highest = CLOUDS[name]
    d = cdist(x, x).astype(np.float32)
    exact = rips(d, max_dimension=highest, metric="precomputed", device="cpu")
    sparse = sparse_rips(d, epsilon, max_dimension=highest).pairs
    for k in range(highest + 1):
        assert log_bottleneck_is_within(
            *(p[p[:, 2] == k, :2].astype(float) for p in (sparse, exact)), 1 + epsilon
        )
    assert np.isinf(sparse[:, 1]).sum() == 1


@pytest.mark.parametrize("name", CLOUDS)
def test_nothing_left_out_is_exact(name: str) -> None:
    x, highest = CLOUDS[name]
    x = x[:60]
    d = cdist(x, x).astype(np.float32)
    np.testing.assert_array_equal(
        sparse_rips(d, 1e-6, max_dimension=highest).pairs,
        rips(d, max_dimension=highest, metric="precomputed", device="cpu"),
    )


def test_a_threshold_leaves_bars_open() -> None:
    x = sphere(60, 1)
    d = cdist(x, x).astype(np.float32)
    np.testing.assert_array_equal(
        sparse_rips(d, 1e-6, threshold=0.9).pairs, rips(d, threshold=0.9, metric="precomputed", device="cpu")
    )


def test_edges_grow_with_the_points_and_not_with_their_square() -> None:
    kept = []
    for n in (500, 1000):
        x = sphere(n, 1)
        kept.append(sparse_rips(cdist(x, x), 1.0, max_dimension=0).simplices[1])
    assert kept[1] < 2.6 * kept[0]
    assert kept[1] < 0.1 * 1000 * 999 / 2


def test_greedy_order_takes_the_farthest() -> None:
    x = RNG.normal(size=(50, 3))
    d = cdist(x, x)
    order, radii = greedy_order(d)
    assert sorted(order.tolist()) == list(range(50))
    for i in range(1, 50):
        assert radii[i] == pytest.approx(d[order[:i]].min(axis=0).max())
        assert radii[i] == pytest.approx(d[order[i], order[:i]].min())


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    d = cdist(*[RNG.normal(size=(30, 3))] * 2)
    for options in ({"epsilon": 0.0}, {"epsilon": 1.0, "max_dimension": -1}):
        with pytest.raises(ParameterError):
            sparse_rips(d, **options)
    monkeypatch.setattr(module, "MAX_SIMPLICES", 100)
    with pytest.raises(DataError, match="raise epsilon"):
        sparse_rips(d, 0.1)
