"""Long chains as bits, against the count of what each cofacet has in the chain."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("numba")

from workbench.numerics.kernels.rips_simplices import diameter

from workbench.benchmarks.topology import sphere
from workbench.numerics.kernels import rips_long
from workbench.numerics.rips import rips

BITS = 5


def ranks_of(n: int, distinct: int, seed: int) -> tuple[np.ndarray, int]:
    """Random symmetric ranks of n points, tied where ``distinct`` is small, some pairs too far apart; and the limit."""
    pairs = n * (n - 1) // 2
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(pairs) if distinct >= pairs else rng.integers(0, distinct, pairs)
    limit = min(distinct, pairs) * 4 // 5
    ranks = np.full((n, 32), limit, np.int32)
    i, j = np.triu_indices(n, 1)
    ranks[i, j] = ranks[j, i] = np.minimum(drawn, limit)
    return ranks, limit


def packed(simplex: tuple[int, ...]) -> int:
    out = 0
    for v in sorted(simplex, reverse=True):
        out = (out << BITS) | v
    return out


@pytest.mark.parametrize("distinct", [1000, 12])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_what_a_chain_leaves_is_what_an_odd_number_of_its_simplices_have(k, distinct) -> None:
    n = 14
    ranks, limit = ranks_of(n, distinct, k)
    rng = np.random.default_rng(0)
    simplices = list(combinations(range(n), k))
    chain = [simplices[i] for i in rng.choice(len(simplices), len(simplices) // 3, replace=False)]
    members = rips_long.no_members(n, k)
    vertices = np.empty(k + 1, np.int64)
    for simplex in chain:
        rips_long.toggle(members, n, packed(simplex), BITS, vertices, k)

    held = set(chain)
    expected: dict[int, list[int]] = {}
    for cofacet in combinations(range(n), k + 1):
        rank = int(diameter(ranks, np.array(cofacet), k + 1))
        if rank < limit and sum(f in held for f in combinations(cofacet, k)) % 2:
            expected.setdefault(rank, []).append(packed(cofacet))

    first, edges = rips_long.edges_by_rank(ranks, limit)
    near, mask, out = np.empty(n, np.int64), np.empty(1, np.int64), np.empty(5000, np.int64)
    found: dict[int, list[int]] = {}
    for rank in range(limit):
        for u, v in edges[first[rank] : first[rank + 1]]:
            count = rips_long.left(ranks, BITS, k, members, rank, u, v, near, mask, vertices, out)
            found.setdefault(rank, []).extend(out[:count].tolist())
    assert sum(map(len, expected.values())) > 20
    assert {r: sorted(s) for r, s in found.items() if s} == {r: sorted(s) for r, s in expected.items()}

    for simplex in chain:
        rips_long.toggle(members, n, packed(simplex), BITS, vertices, k)
    assert not members.any()


@pytest.mark.parametrize(
    ("points", "highest"),
    [
        (sphere(300, 1), 1),
        (sphere(200, 2), 2),
        (sphere(100, 3), 3),
        (np.round(sphere(250, 1) * 20), 1),
        (np.unique(np.round(sphere(260, 2) * 8), axis=0), 2),
        (np.unique(np.round(sphere(110, 3) * 4), axis=0), 3),
    ],
    ids=["circle", "2-sphere", "3-sphere", "tied circle", "tied 2-sphere", "tied 3-sphere"],
)
def test_peer_giotto_has_the_same_bars_of_spheres_whose_class_is_thousands_of_simplices_long(
    points, highest
) -> None:
    gph = pytest.importorskip("gph")
    theirs = gph.ripser_parallel(points, maxdim=highest, n_threads=2)["dgms"]
    ours = rips(points, max_dimension=highest, device="cpu", n_threads=2)
    for dimension, bars in enumerate(theirs):
        own = ours[ours[:, 2] == dimension, :2]
        bars = bars[bars[:, 0] < bars[:, 1]]
        np.testing.assert_allclose(own[np.lexsort(own.T)], bars[np.lexsort(bars.T)], rtol=2e-7, atol=1e-7)
