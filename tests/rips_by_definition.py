"""The simplices of a small filtration by their definition, for the tests of `rips_graph`, `rips_links` and `rips_chain`."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from workbench.numerics.kernels import rips_graph


def cloud(n: int, distinct: int, seed: int) -> tuple[int, np.ndarray]:
    """Pairs of n points in a random order, a fifth of them left out; ranks are tied where ``distinct`` is small."""
    rng = np.random.default_rng(seed)
    upper, lower = np.tril_indices(n, -1)
    rank = rng.integers(0, distinct, len(upper)) if distinct < len(upper) else rng.permutation(len(upper))
    order = np.lexsort((-lower, -upper, rank))[: len(upper) * 4 // 5]
    return n, np.stack([upper[order], lower[order]], 1).astype(np.int32)


class Brute:
    """A filtration by its definition: simplices are sets, ordered by longest edge and then by places from the nearest."""

    def __init__(self, n: int, pairs: np.ndarray):
        self.n, self.limit = n, len(pairs)
        self.edge = {frozenset(p): i for i, p in enumerate(pairs.tolist())}
        self.near = [[] for _ in range(n)]  # of each vertex
        for a, b in pairs.tolist():
            self.near[a].append(b)
            self.near[b].append(a)
        self.graph = rips_graph.graph_of(n, pairs, 2)
        self.bits = max(1, max(map(len, self.near)).bit_length())
        self.simplices: dict[int, dict[int, frozenset[int]]] = {}

    def code(self, simplex: frozenset[int]) -> int:
        longest = max(self.edge[frozenset(p)] for p in combinations(simplex, 2))
        u, v = next(p for p in self.edge if self.edge[p] == longest)
        if (len(self.near[u]), -u) > (len(self.near[v]), -v):
            u, v = v, u
        code = longest
        for place in sorted(self.near[u].index(w) for w in simplex - {u, v}):
            code = (code << self.bits) | place
        return code

    def codes(self, k: int) -> dict[int, frozenset[int]]:
        if k not in self.simplices:
            there = (
                frozenset(s)
                for s in combinations(range(self.n), k)
                if all(frozenset(p) in self.edge for p in combinations(s, 2))
            )
            self.simplices[k] = {self.code(s): s for s in there}
        return self.simplices[k]

    def cofacets(self, code: int, k: int) -> list[int]:
        simplex = self.codes(k)[code]
        return sorted(c for c, s in self.codes(k + 1).items() if simplex < s)

    def facets(self, code: int, k: int) -> list[int]:
        simplex = self.codes(k)[code]
        return sorted(self.code(simplex - {v}) for v in simplex)

    def apparent_facet(self, code: int, k: int) -> int | None:
        """The last facet, if it has the same longest edge and this is its first cofacet."""
        last = self.facets(code, k)[-1]
        same = last >> (self.bits * (k - 3)) == code >> (self.bits * (k - 2))
        return last if same and self.cofacets(last, k - 1)[0] == code else None

    def open(self, k: int) -> list[int]:
        """Those in no apparent pair."""
        paired = {self.apparent_facet(code, k + 1) for code in self.codes(k + 1)}
        return sorted(
            code
            for code in self.codes(k)
            if code not in paired and (k == 2 or self.apparent_facet(code, k) is None)
        )
