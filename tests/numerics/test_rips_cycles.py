"""A representative is a cycle, is there at the birth, bounds at the death and not before."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from workbench.core.errors import ParameterError
from workbench.numerics.rips import Barcode, barcode
from workbench.numerics.rips_cycles import Representatives

RNG = np.random.default_rng(5)


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def torus(n: int) -> np.ndarray:
    a, b = RNG.uniform(0, 2 * np.pi, (2, n))
    return np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], 1)


def cross(d: int, copies: int = 1) -> np.ndarray:
    """Corners of a cross-polytope, no two edges of which are equally long: a sphere until opposite ones join."""
    corners = np.repeat(np.concatenate([np.eye(d), -np.eye(d)]), copies, axis=0)
    return corners + 0.05 * np.repeat(RNG.normal(size=(2 * d, d)), copies, axis=0)


CLOUDS = {
    "circle": (sphere(24, 1), 1),
    "sphere": (sphere(24, 2), 2),
    "torus": (torus(26), 1),
    "3-sphere": (cross(4), 3),
    "4-sphere": (cross(5), 4),
    "gaussian": (RNG.normal(size=(24, 5)), 1),
    "duplicates": (cross(3, copies=2), 2),
    "grid": (RNG.permutation(np.argwhere(np.ones((3, 3, 3)))[np.arange(27) != 13]).astype(float), 2),
    "octahedron": (np.concatenate([np.eye(4), -np.eye(4)]), 3),
}


def facets(simplex: frozenset[int]) -> list[frozenset[int]]:
    return [simplex - {v} for v in simplex]


def length(simplex: frozenset[int], d: np.ndarray) -> float:
    return max(d[a, b] for a, b in combinations(simplex, 2))


def bounds(cycle: set[frozenset[int]], d: np.ndarray, within: float, strictly: bool) -> bool:
    """Whether the cycle is a sum of boundaries of simplices no longer than ``within`` (Gaussian elimination)."""
    k = len(next(iter(cycle)))
    place = {frozenset(s): i for i, s in enumerate(combinations(range(len(d)), k))}
    basis: dict[int, int] = {}

    def left_over(column: int) -> int:
        while column and (at := column.bit_length()) in basis:
            column ^= basis[at]
        return column

    for s in map(frozenset, combinations(range(len(d)), k + 1)):
        if length(s, d) < within or (not strictly and length(s, d) == within):
            column = left_over(sum(1 << place[x] for x in facets(s)))
            if column:
                basis[column.bit_length()] = column
    return left_over(sum(1 << place[x] for x in cycle)) == 0


def check(code: Barcode, d: np.ndarray) -> int:
    """Assert what makes a representative right, for every bar from dimension 1 on."""
    made = Representatives(code)
    checked = 0
    for bar in np.flatnonzero(code.pairs[:, 2] > 0):
        birth, death, dimension = code.pairs[bar]
        cycle = {frozenset(s) for s in made.cycle(bar).tolist()}
        assert cycle and all(len(s) == dimension + 1 for s in cycle)
        boundary: set[frozenset[int]] = set()
        for s in cycle:
            boundary ^= set(facets(s))
        assert not boundary
        assert max(length(s, d) for s in cycle) == birth
        assert not bounds(cycle, d, min(death, np.float32(1e9)), strictly=True)
        if np.isfinite(death):
            assert bounds(cycle, d, death, strictly=False)
        checked += 1
    return checked


@pytest.mark.parametrize("name", CLOUDS)
def test_a_cycle_lives_as_long_as_its_bar(name: str) -> None:
    x, highest = CLOUDS[name]
    d = cdist(x, x).astype(np.float32)
    code = barcode(d, max_dimension=highest, metric="precomputed", device="cpu")
    assert check(code, d) > 0
    assert (code.pairs[:, 2] == highest).any()


@pytest.mark.parametrize("name", CLOUDS)
def test_bars_without_end_have_cycles(name: str) -> None:
    """Within half the life of the longest bar, so that it has no end there."""
    x, highest = CLOUDS[name]
    d = cdist(x, x).astype(np.float32)
    whole = barcode(d, max_dimension=highest, metric="precomputed", device="cpu").pairs
    birth, death, _ = max(whole[whole[:, 2] == highest], key=lambda bar: bar[1] - bar[0])
    d[d > (birth + death) / 2] = np.inf
    code = barcode(d, max_dimension=highest, metric="precomputed", device="cpu")
    assert np.isinf(code.pairs[code.pairs[:, 2] > 0, 1]).any()
    check(code, np.where(np.isinf(d), np.float32(1e9), d))


def test_the_simplices_of_a_bar_are_as_long_as_it_says() -> None:
    x, highest = CLOUDS["torus"]
    d = cdist(x, x).astype(np.float32)
    code = barcode(d, max_dimension=highest, metric="precomputed", device="cpu")
    for dimension in range(highest + 1):
        bars = code.pairs[code.pairs[:, 2] == dimension]
        for (birth, death, _), born, dies in zip(
            bars, code.born(dimension), code.dies(dimension), strict=True
        ):
            assert dimension == 0 or length(frozenset(born.tolist()), d) == birth
            assert np.isinf(death) or length(frozenset(dies.tolist()), d) == death
            assert (dies >= 0).all() == np.isfinite(death)


def test_known_answer_octahedron_s_hole_is_all_of_it() -> None:
    code = barcode(CLOUDS["octahedron"][0], max_dimension=3, device="cpu")
    cycle = Representatives(code).cycle(len(code.pairs) - 1)
    assert len(cycle) == 16
    assert set(cycle.ravel().tolist()) == set(range(8))


def test_components_are_refused_and_a_budget_holds() -> None:
    code = barcode(sphere(60, 2), max_dimension=2, device="cpu")
    with pytest.raises(ParameterError, match="component"):
        Representatives(code).cycle(0)
    longest = int(np.argmax(np.where(code.pairs[:, 2] == 2, code.pairs[:, 1] - code.pairs[:, 0], 0)))
    assert Representatives(code, budget=10).cycle(longest).shape == (0, 3)
    assert len(Representatives(code).cycle(longest)) >= 4
