"""Codes of simplices, their cofacets, and which are in no apparent pair, against all simplices by brute force."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from rips_by_definition import Brute, cloud

from workbench.numerics.kernels import rips_graph, rips_links, rips_queue


@pytest.mark.parametrize(("n", "distinct"), [(12, 1000), (12, 6), (11, 1), (2, 5), (30, 40)])
def test_codes_and_cofacets_are_those_of_the_definition(n: int, distinct: int) -> None:
    brute = Brute(*cloud(n, distinct, n))
    graph, bits = brute.graph, brute.bits
    for k in (2, 3, 4) if n < 30 else (2,):
        room = [np.empty(k + 1, np.int64) for _ in range(3)]
        sides, common, out = np.empty((k, k), np.int64), np.empty(1, np.int64), np.empty(n, np.int64)
        for code, simplex in brute.codes(k).items():
            vertices = np.empty(k, np.int64)
            edge = rips_graph.vertices_of(graph, bits, code, k, vertices)
            assert set(vertices.tolist()) == simplex
            assert edge == code >> (bits * (k - 2))
            assert rips_graph.code_of(graph, bits, vertices[::-1].copy(), k, room[0]) == code
            cofacets = brute.cofacets(code, k)
            for low, high in (
                (0, brute.limit - 1),
                (code << bits, edge + 5),
                ((edge + 3) << (bits * (k - 1)), edge + 9),
            ):
                count = rips_graph.list_cofacets(
                    graph, bits, code, k, low, high, room[0], sides, *room[1:], common, out
                )
                expected = [c for c in cofacets if c >= low and c >> (bits * (k - 1)) <= high]
                assert sorted(out[:count].tolist()) == expected
        for code in brute.codes(k + 1):
            facet = brute.apparent_facet(code, k + 1)
            vertices = np.empty(k + 1, np.int64)
            assert rips_graph.apparent_facet(graph, bits, code, k + 1, vertices) == (
                -1 if facet is None else facet
            )
            if facet is not None:
                assert rips_graph.apparent_cofacet(graph, bits, facet, k, vertices) == code


@pytest.mark.parametrize(("n", "distinct"), [(14, 1000), (14, 7), (13, 1), (1, 1), (2, 5), (18, 30)])
def test_simplices_in_no_apparent_pair_are_those_of_the_definition(n: int, distinct: int) -> None:
    brute = Brute(*cloud(n, distinct, n))
    for highest in (2, 3, 4, 5):
        out, shared = np.empty((highest - 1, 20_000), np.int64), np.zeros(highest, np.int64)
        if highest == 2:
            rips_links.open_edges(brute.graph, shared, out)
        else:
            rips_links.open_simplices(brute.graph, brute.bits, highest, shared, out)
        for k in range(2, highest + 1):
            assert sorted(out[k - 2, : shared[k - 1]].tolist()) == brute.open(k)


def test_links_of_several_words_leave_what_one_word_would() -> None:
    """120 points in a clump: links of up to two words. Counted beside the same search with one place at a time."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 6))
    upper, lower = np.tril_indices(120, -1)
    order = np.argsort(np.linalg.norm(x[upper] - x[lower], axis=1))
    graph = rips_graph.graph_of(120, np.stack([upper[order], lower[order]], 1).astype(np.int32), 1)
    found = {}
    for highest in (3, 4, 5):
        out, shared = np.empty((highest - 1, 200_000), np.int64), np.zeros(highest, np.int64)
        rips_links.open_simplices(graph, 7, highest, shared, out)
        found[highest] = [sorted(out[k - 2, : shared[k - 1]].tolist()) for k in range(2, highest + 1)]
    assert found[3] == found[4][:2] == found[5][:2]
    assert found[4][2] == found[5][2]
    assert graph.places[:, 0].max() > 64
    vertices = np.empty(4, np.int64)
    for code in found[4][2]:
        assert rips_graph.apparent_facet(graph, 7, code, 4, vertices) == -1
        assert rips_graph.apparent_cofacet(graph, 7, code, 4, vertices) == -1


def test_of_a_sphere_one_simplex_in_thousands_is_left() -> None:
    """The nearest vertex of a link is near to all the others. By the order of their numbers one in 67 is left here."""
    x = np.random.default_rng(0).normal(size=(100, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    upper, lower = np.tril_indices(100, -1)
    d = np.linalg.norm(x[upper] - x[lower], axis=1)
    order = np.argsort(d)[:4000]
    graph = rips_graph.graph_of(100, np.stack([upper[order], lower[order]], 1).astype(np.int32), 1)
    near = np.zeros((100, 100), np.int64)
    near[graph.ends[:, 0], graph.ends[:, 1]] = near[graph.ends[:, 1], graph.ends[:, 0]] = 1
    tetrahedra = sum(
        int(np.trace(np.linalg.matrix_power(near[np.ix_(*[np.flatnonzero(near[v])] * 2)], 3)))
        for v in range(100)
    )
    out, shared = np.empty((3, 1 << 16), np.int64), np.zeros(4, np.int64)
    rips_links.open_simplices(graph, 7, 4, shared, out)
    assert shared[3] < tetrahedra / 24 / 2000


def test_the_forest_is_the_minimum_spanning_one() -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    n, pairs = cloud(200, 10**6, 0)
    pairs = pairs[:400]
    edges, ended, left = rips_graph.spanning_forest(rips_graph.graph_of(n, pairs, 1))
    weights = coo_array((np.arange(1, len(pairs) + 1), pairs.T), shape=(n, n))
    np.testing.assert_array_equal(edges + 1, np.sort(minimum_spanning_tree(weights).data))
    assert len(left) == connected_components(weights, directed=False)[0] > 1
    assert sorted([*ended, *left]) == list(range(n))


@pytest.mark.parametrize("size", [1, 64, 65, 5000, 300_000])
def test_a_tree_of_bits_holds_what_was_toggled_an_odd_number_of_times(size: int) -> None:
    first, tree = rips_queue.tree_of(size)
    rng = np.random.default_rng(size)
    held: set[int] = set()
    for _ in range(300):
        number = int(rng.integers(size))
        rips_queue.toggle(first, tree, number)
        held ^= {number}
        start = int(rng.integers(max(1, size - 64)))
        bits = int(rng.integers(-(2**63), 2**63 - 1)) if size > 64 else 1
        rips_queue.toggle_run(first, tree, start, bits)
        held ^= {start + i for i in range(64) if bits >> i & 1}
        assert rips_queue.least(first, tree) == min(held, default=-1)
    for number in sorted(held):
        assert rips_queue.least(first, tree) == number
        rips_queue.toggle(first, tree, number)
    assert not tree.any()
