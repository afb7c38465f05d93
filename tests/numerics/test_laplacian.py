"""Slowest modes of walks on graphs whose spectra are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array

from workbench.numerics.laplacian import neighbour_graph, slowest_modes, slowest_values
from workbench.numerics.neighbours import k_nearest


def cycle(n: int) -> csr_array:
    i = np.arange(n)
    one = csr_array((np.ones(n), (i, (i + 1) % n)), shape=(n, n))
    return csr_array(one + one.T)


@pytest.mark.parametrize("n", [30, 700])
def test_known_spectrum_of_a_cycle(n: int) -> None:
    values, modes, pieces = slowest_modes(cycle(n), 7)
    assert np.allclose(values, 1 - np.cos(2 * np.pi * np.array([0, 1, 1, 2, 2, 3, 3]) / n), atol=1e-9)
    assert pieces == 1
    walk = cycle(n) / 2
    assert np.allclose(walk @ modes, modes * (1 - values), atol=1e-6)


def test_every_piece_has_its_zero() -> None:
    sizes = [5, 40, 400, 7]
    graph = csr_array(block_diag([cycle(s) for s in sizes]))
    values, modes, pieces = slowest_modes(graph, 6)
    assert pieces == 4
    assert np.allclose(values[:4], 0, atol=1e-9)
    assert values[4] > 1e-5
    starts = np.cumsum([0, *sizes])
    for mode in modes[:, :4].T:  # constant on one piece, zero on the others
        on = [np.ptp(mode[a:b]) < 1e-8 and abs(mode[a]) > 1e-3 for a, b in pairwise(starts)]
        assert sum(on) == 1


def test_a_graph_of_neighbours_is_symmetric_and_weighs_mutual_ones_double() -> None:
    graph = neighbour_graph(np.array([[1], [0], [1]])).toarray()
    assert np.array_equal(graph, [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]])


def test_a_clique_of_equal_rows_has_modes() -> None:
    """LAPACK's search for some eigenvalues of a matrix of equal entries ended in an internal error."""
    for size in (14, 16, 40):
        graph = csr_array(np.ones((size, size)) - np.eye(size))
        values, modes, pieces = slowest_modes(graph, min(12, size))
        assert pieces == 1
        assert np.allclose(values[1:], size / (size - 1))
        assert np.isfinite(modes).all()


def test_values_alone_are_those_of_the_modes() -> None:
    rows = np.random.default_rng(0).standard_normal((120, 3))
    rows[:20] += 100  # a piece of its own
    graph = neighbour_graph(k_nearest(rows, 6)[0])
    assert np.allclose(slowest_values(graph, 8), slowest_modes(graph, 8)[0], atol=1e-9)
