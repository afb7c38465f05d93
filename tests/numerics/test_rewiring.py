"""Rewiring keeps degrees, makes no loop and no parallel edge, and reaches every graph alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from workbench.numerics.rewiring import rewired, simple_edges


@pytest.mark.parametrize("directed", [True, False])
def test_degrees_stay_and_nothing_doubles(directed: bool) -> None:
    rng = np.random.default_rng(0)
    n = 40
    edges, _ = simple_edges(rng.integers(0, n, (200, 2)), np.ones(200), n, directed=directed)
    new = rewired(edges, n, rng, directed=directed)
    loops = edges[:, 0] == edges[:, 1]
    assert (new[loops] == edges[loops]).all()
    assert not (new[~loops, 0] == new[~loops, 1]).any()
    assert len(simple_edges(new, np.ones(len(new)), n, directed=directed)[0]) == len(edges)
    assert not (np.sort(new, axis=1) == np.sort(edges, axis=1)).all(axis=1)[~loops].all()
    if directed:
        assert (np.bincount(new[:, 0], minlength=n) == np.bincount(edges[:, 0], minlength=n)).all()
        assert (np.bincount(new[:, 1], minlength=n) == np.bincount(edges[:, 1], minlength=n)).all()
    else:
        assert (np.bincount(new.ravel(), minlength=n) == np.bincount(edges.ravel(), minlength=n)).all()


def test_every_graph_of_the_same_degrees_is_as_likely() -> None:
    """Six nodes of degree two: 60 hexagons, and 10 pairs of triangles."""
    ring = np.array([(i, (i + 1) % 6) for i in range(6)])
    rng = np.random.default_rng(1)
    found = Counter(
        tuple(
            map(
                tuple,
                simple_edges(rewired(ring, 6, rng, directed=False), np.ones(6), 6, directed=False)[
                    0
                ].tolist(),
            )
        )
        for _ in range(1400)
    )
    assert len(found) == 70
    assert chisquare(list(found.values())).pvalue > 1e-3


def test_parallel_edges_are_joined() -> None:
    edges = np.array([(0, 1), (1, 0), (2, 2), (0, 1)])
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert simple_edges(edges, weights, 3, directed=False)[0].tolist() == [[0, 1], [2, 2]]
    assert simple_edges(edges, weights, 3, directed=False)[1].tolist() == [7, 3]
    assert simple_edges(edges, weights, 3, directed=True)[1].tolist() == [5, 2, 3]


def test_a_star_stays_a_star() -> None:
    star = np.array([(0, i) for i in range(1, 8)])
    new = rewired(star, 8, np.random.default_rng(2), directed=False)
    assert (np.sort(np.sort(new, axis=1), axis=0) == star).all()
