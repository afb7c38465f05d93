"""Box covering: legal boxes, dimensions that are known, and a flower that is no fractal."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.box_covering import boxes, distances, natural_lengths, scaling
from workbench.numerics.fractal_graphs import Grown, cross, flower, gasket, hierarchical, nodes_of_flower


def counted(made: Grown, lengths: np.ndarray, orders: int = 8) -> np.ndarray:
    apart = distances(made.edges, made.n)
    return np.array([boxes(apart, int(k), orders=orders).max() + 1 for k in lengths])


def own(made: Grown) -> np.ndarray:
    return natural_lengths(made.scale, int(distances(made.edges, made.n).max()))


def test_boxes_are_legal_and_few() -> None:
    """On a path of 60 nodes the fewest are known: one for every ``length`` nodes."""
    path = np.stack([np.arange(59), np.arange(1, 60)], axis=1)
    apart = distances(path, 60)
    for length in (1, 3, 4, 60):
        box = boxes(apart, length, orders=200)
        assert -(-60 // length) <= box.max() + 1 <= 1.5 * -(-60 // length)
        for b in range(box.max() + 1):
            inside = np.flatnonzero(box == b)
            assert len(inside) and apart[np.ix_(inside, inside)].max() < length


@pytest.mark.parametrize(
    ("made", "within"),
    [(flower(2, 2, 4), 0.02), (cross(3), 0.02), (gasket(6), 0.15), (hierarchical(2, 4), 0.2)],
    ids=["flower", "cross", "gasket", "hierarchical"],
)
def test_known_dimension_at_natural_lengths(made: Grown, within: float) -> None:
    lengths = own(made)
    found = scaling(lengths, counted(made, lengths))
    assert found.dimension == pytest.approx(made.dimension, abs=within)
    assert found.power < found.exponential


def test_a_flower_of_three_and_three_has_its_dimension() -> None:
    lengths = 1 + 3 ** np.arange(4)  # boxes whose diameter is a generation's length
    found = scaling(lengths, counted(flower(3, 3, 4), lengths))
    assert found.dimension == pytest.approx(np.log(6) / np.log(3), abs=0.08)
    assert found.verdict == "fractal"


def test_a_flower_with_a_short_cut_is_no_fractal() -> None:
    made = flower(1, 3, 5)
    lengths = np.arange(1, 11)
    found = scaling(lengths, counted(made, lengths))
    assert made.dimension is None and found.verdict == "not fractal"
    assert found.exponential < 0.5 * found.power


def test_other_lengths_are_biased() -> None:
    made = flower(2, 3, 4)
    lengths = np.arange(1, 28)
    assert scaling(lengths, counted(made, lengths, 2)).dimension < made.dimension - 0.4


def test_graphs_have_their_numbers_of_nodes_and_degrees() -> None:
    for u, v, g in ((1, 2, 4), (2, 2, 4), (2, 3, 3)):
        made = flower(u, v, g)
        assert made.n == nodes_of_flower(u, v, g) and len(made.edges) == (u + v) ** g
        graph = nx.Graph(made.edges.tolist())
        assert graph.number_of_nodes() == made.n and graph.number_of_edges() == len(made.edges)
        assert max(dict(graph.degree).values()) == 2**g
    tree = hierarchical(2, 3)
    assert nx.is_tree(nx.Graph(tree.edges.tolist())) and len(tree.edges) == 5**3
    assert (gasket(4).n, len(gasket(4).edges)) == ((3**5 + 3) // 2, 3**5)
    assert (cross(2).n, len(cross(2).edges)) == (101, 100) and nx.is_tree(nx.Graph(cross(2).edges.tolist()))
    for made in (flower(2, 2, 3), tree, gasket(3), cross(2)):
        assert made.born.min() == 0 and len(made.born) == made.n


def test_what_can_not_be_covered_is_refused() -> None:
    with pytest.raises(DataError, match="several pieces"):
        distances(np.array([[0, 1]]), 3)
    with pytest.raises(DataError, match="20,000 nodes; this graph has 30,000"):
        distances(np.array([[0, 1]]), 30_000)
    with pytest.raises(ParameterError, match="length=0"):
        boxes(np.zeros((1, 1), np.int16), 0)
    with pytest.raises(DataError, match="two lengths"):
        scaling(np.array([2]), np.array([3]))
    assert scaling(np.array([2, 4, 8]), np.array([64, 16, 4])).verdict == "untold"
