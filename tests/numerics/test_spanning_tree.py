"""Minimum spanning trees against scipy, on clouds that make the search look at all pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree as scipy_tree
from scipy.spatial.distance import cdist

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import spanning_tree
from workbench.numerics.kernels import spanning
from workbench.numerics.kernels.spanning_host import leaf_order
from workbench.numerics.near_origin import near_origin
from workbench.numerics.spanning_tree import forest, minimum_spanning_tree

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(12, 8)) * 10
CLOUDS = {
    "gaussian": RNG.normal(size=(700, 3)),
    "uniform": RNG.random((500, 40)),
    "clusters apart": np.concatenate([c + 0.01 * RNG.normal(size=(50, 8)) for c in CENTRES]),
    "copies": np.repeat(RNG.normal(size=(150, 5)), 4, axis=0),
    "almost copies": np.repeat(RNG.normal(size=(15, 20)), 40, axis=0) + 1e-6 * RNG.normal(size=(600, 20)),
    "grid": RNG.integers(0, 9, size=(800, 3)).astype(float),
    "line": np.arange(400.0)[:, None],
    "far from the origin": RNG.normal(size=(300, 3)) + 1e4,
    "just below a block": RNG.normal(size=(127, 2)),
    "block": RNG.normal(size=(128, 2)),
    "block and one": RNG.normal(size=(129, 2)),
    "float16": RNG.normal(size=(300, 7)).astype(np.float16),
    "all equal": np.ones((200, 3)),
    "one": np.ones((1, 3)),
    "two": np.eye(2),
}


def held(x: np.ndarray) -> np.ndarray:
    """Rows in single precision, those that are far from the origin moved first."""
    return near_origin(x.astype(np.float64)).astype(np.float32)


def lengths_by_scipy(x: np.ndarray) -> np.ndarray:
    distinct = np.unique(held(x), axis=0).astype(np.float64)
    found = np.sort(scipy_tree(cdist(distinct, distinct)).data)
    return np.concatenate([np.zeros(len(x) - 1 - len(found)), found])


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("all_pairs", [40, 4096])
def test_peer_scipy(name: str, all_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanning_tree, "ALL_PAIRS_UP_TO", all_pairs)
    x = CLOUDS[name]
    tree = minimum_spanning_tree(x, device="cpu")
    np.testing.assert_allclose(tree.lengths, lengths_by_scipy(x), rtol=2e-6, atol=1e-9)
    i, j = tree.edges.T
    np.testing.assert_allclose(np.linalg.norm(held(x)[i] - held(x)[j], axis=1), tree.lengths, rtol=1e-5)
    _, label = forest(len(x), *torch.from_numpy(tree.edges).T, torch.from_numpy(tree.lengths))
    assert len(torch.unique(label)) == 1


def test_rows_that_half_precision_cannot_tell_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanning_tree, "ALL_PAIRS_UP_TO", 40)
    monkeypatch.setattr(
        spanning_tree, "ROOM", 500
    )  # fewer than the pairs in question, which stay so in the final tree
    x = np.concatenate([c + 1e-5 * RNG.normal(size=(300, 3)) for c in (-1, 1)])
    tree = minimum_spanning_tree(x, device="cpu")
    np.testing.assert_allclose(tree.lengths, lengths_by_scipy(x), rtol=2e-6, atol=1e-9)


def test_peer_scipy_for_cosine() -> None:
    x = CLOUDS["gaussian"]
    expected = np.sort(scipy_tree(cdist(x, x, "cosine")).data)
    np.testing.assert_allclose(
        minimum_spanning_tree(x, "cosine", device="cpu").lengths, expected, rtol=1e-3, atol=1e-8
    )


def test_a_bad_first_tree_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one neighbour a row the first tree is poor, and too many pairs are found for the room."""
    monkeypatch.setattr(spanning_tree, "ALL_PAIRS_UP_TO", 40)
    monkeypatch.setattr(spanning_tree, "N_NEIGHBORS", 1)
    monkeypatch.setattr(spanning_tree, "SEARCHED", 64)
    monkeypatch.setattr(spanning_tree, "ROOM", 1500)
    x = CLOUDS["gaussian"]
    np.testing.assert_allclose(minimum_spanning_tree(x, device="cpu").lengths, lengths_by_scipy(x), rtol=2e-6)


def test_leaves_come_together_at_the_largest_gap_between_them() -> None:
    x = CLOUDS["uniform"][:60]
    tree = minimum_spanning_tree(x, device="cpu")
    order, gap = leaf_order(60, tree.edges, tree.lengths)
    assert sorted(order) == list(range(60))
    for i, j in [(0, 59), (3, 4), (10, 30)]:
        below = tree.edges[tree.lengths < gap[i:j].max()]
        lengths = torch.zeros(len(below))
        _, label = forest(60, *torch.from_numpy(below).T, lengths)
        assert label[order[i]] != label[order[j]]
        below = tree.edges[tree.lengths <= gap[i:j].max()]
        _, label = forest(60, *torch.from_numpy(below).T, torch.zeros(len(below)))
        assert label[order[i]] == label[order[j]]


def test_no_shortcut_is_missed() -> None:
    """On a chain of leaves with random gaps, every pair below its height is found."""
    n = 300
    x = torch.from_numpy(RNG.normal(size=(n, 16))).half()
    gap = torch.from_numpy(RNG.random(n)).float() * 5
    norm = x.float().square().sum(1) / 2
    found = {tuple(p) for p in spanning.shortcuts_reference(x, norm, torch.zeros(n), gap).tolist()}
    d = torch.cdist(x.double(), x.double())
    expected = {
        (i, j)
        for i in range(n)
        for j in range(i + 1, n)
        if i // spanning.TILE != j // spanning.TILE and d[i, j] < gap[i:j].max()
    }
    assert expected
    assert expected <= found
    assert len(found) < 1.01 * len(expected) + 5


@pytest.mark.parametrize(
    ("x", "metric", "error"),
    [
        (np.ones((0, 2)), "euclidean", DataError),
        (np.ones(4), "euclidean", DataError),
        (np.full((3, 2), np.inf), "euclidean", DataError),
        (np.zeros((3, 2)), "cosine", DataError),
        (np.ones((3, 2)), "manhattan", ParameterError),
    ],
)
def test_refusals(x: np.ndarray, metric: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        minimum_spanning_tree(x, metric, device="cpu")  # type: ignore[arg-type]
