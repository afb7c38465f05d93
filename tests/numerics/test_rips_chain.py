"""Long chains asked an edge at a time, against the count of what each cofacet has in the chain."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("numba")

from rips_by_definition import Brute, cloud

from workbench.benchmarks.topology import sphere
from workbench.numerics.kernels import rips_chain
from workbench.numerics.rips import rips


class Plain:
    """A chain whose cofacets are all counted."""

    def __init__(self, brute: Brute, k: int, first: int):
        self.brute, self.k, self.first = brute, k, first
        self.left: Counter[int] = Counter()

    def add(self, codes: list[int]) -> None:
        for code in codes:
            for cofacet in self.brute.cofacets(code, self.k):
                if cofacet >> (self.brute.bits * (self.k - 1)) >= self.first:
                    self.left[cofacet] ^= 1

    def next_left(self) -> tuple[int, list[int]]:
        added = []
        while left := [code for code, odd in self.left.items() if odd]:
            code = min(left)
            facet = self.brute.apparent_facet(code, self.k + 1)
            if facet is None:
                return code, added
            added.append(facet)
            self.add([facet])
        return -1, added


@pytest.mark.parametrize("distinct", [10_000, 9])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_what_a_chain_leaves_is_what_an_odd_number_of_its_simplices_have(k: int, distinct: int) -> None:
    brute = Brute(*cloud(13, distinct, k))
    graph, bits = brute.graph, brute.bits
    rng = np.random.default_rng(0)
    edge = brute.limit * k // 5  # what the chain is made of is nearer
    early = [code for code in brute.codes(k) if code >> (bits * (k - 2)) < edge]
    chain = np.array(rng.permutation(early)[: len(early) // 2 + 1])
    widest = int(graph.places[:, 0].max())
    room = rips_chain.Chain(*rips_chain.empty_chain(brute.n, k, widest))
    pool = np.empty(1, np.int32)
    pool = rips_chain.begin(graph, bits, k, room, pool, chain, len(chain), edge)
    plain = Plain(brute, k, edge)
    plain.add(chain.tolist())
    length, found, met = len(chain), 0, set[int]()
    while True:
        before = length
        code, chain, length, pool = rips_chain.next_left(graph, bits, k, room, pool, chain, length)
        expected, added = plain.next_left()
        assert code == expected
        assert chain[before:length].tolist() == added
        if code < 0:
            break
        found += 1
        longest = code >> (bits * (k - 1))
        if longest in met:
            plain.left[code] = 0  # as it is taken out of the room
            continue
        # once an edge, a facet of it is added as an owner's chain would be, with an early simplex beside it
        met.add(longest)
        rips_chain.put_back(graph, bits, k, room, code)
        facets = [facet for facet in brute.facets(code, k + 1) if facet >> (bits * (k - 2)) == longest]
        more = [min(facets), int(rng.choice(early))]
        chain = np.append(chain[:length], more)
        pool = rips_chain.add(graph, bits, k, room, pool, chain, length, length + 2)
        length += 2
        plain.first = longest  # what is left at earlier edges isn't asked for
        plain.add(more)
    assert found > 2
    rips_chain.end(room)
    assert not room.tree.any() and not room.joined.any() and (room.label == -1).all()


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
