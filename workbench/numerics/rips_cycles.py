"""Cycles that stand for chosen bars of a Rips barcode: the homology side, reduced for those bars alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from jaxtyping import Int

    from workbench.numerics.rips import Barcode

BUDGET = 50_000_000  # entries added for one bar: some ten seconds


@dataclass
class _Column:
    """A boundary on its way to being reduced; ``used`` are the simplices whose boundaries were added."""

    simplex: int
    heap: np.ndarray
    n: int = 0
    used: list[np.ndarray] = field(default_factory=list)


class Representatives:
    """Cycles over Z/2 of a barcode's bars, in dimension 1 and above; what was reduced for one bar helps the next.

    A bar's cycle is the boundary of the simplex that ends it, reduced: boundaries of earlier simplices are
    added until the latest simplex left is the one that begins the bar. It therefore exists at the birth, is
    a boundary at the death, and isn't one before. The cohomology has told already which simplex cancels
    which, so only the columns that a bar needs are looked at (involuted homology). For a bar without end the
    cycle is the simplex that begins it and what bounds the rest of its boundary.

    Parameters
    ----------
    barcode : from `rips.barcode`.
    budget : entries that may be added for one bar; one that needs more gets no cycle.

    References
    ----------
    Čufar and Virk 2021, Fast computation of persistent homology representatives with involuted persistent
    homology, Found. Data Sci. 5.
    """

    def __init__(self, barcode: Barcode, budget: int = BUDGET):
        self._barcode = barcode
        self._budget = budget
        self._ends: dict[int, dict[int, int]] = {}
        self._reduced: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def cycle(self, bar: int) -> Int[np.ndarray, "c k"]:
        """The simplices, as rows in falling order, of the cycle of bar ``bar`` (a position in ``pairs``).

        Empty where the budget ran out.

        Raises
        ------
        ParameterError
            A bar of dimension 0, whose cycle would be a row.
        """
        code = self._barcode
        k = int(code.pairs[bar, 2]) + 1
        if k == 1:
            raise ParameterError(f"bar {bar} is a component, which is no cycle: see cycles.dying_components")
        birth, death = int(code.births[bar]), int(code.deaths[bar])
        if death >= 0:
            column = self._column(k, death, birth)
            simplices = None if column is None else self._simplices(column[0])
        elif k == 2:
            simplices = self._around(birth)
        else:
            column = self._column(k - 1, birth, None)
            simplices = None if column is None else np.append(column[1], birth)
        return code.rows(np.empty(0, np.int64) if simplices is None else simplices, k)

    def _simplices(self, entries: np.ndarray) -> np.ndarray:
        from workbench.numerics.kernels.rips_boundary import LAST

        return LAST - entries

    def _column(self, k: int, simplex: int, pivot: int | None) -> tuple[np.ndarray, np.ndarray] | None:
        """The reduced boundary (facets of k vertices) of a simplex, and what was added to it; None: too much.

        ``pivot`` is where it must end: the facet that it is paired with, or None for a boundary that vanishes.
        """
        from workbench.numerics.kernels.rips_boundary import push_all, push_facets, reduce_apparent

        f = self._barcode.filtration
        ends = self._paired(k)
        left = self._budget

        def begin(simplex: int) -> _Column:
            heap, n = push_facets(f.graph, f.bits, simplex, k + 1, np.empty(1 << 8, np.int64), 0)
            return _Column(simplex, heap, n)

        stack, goals = [begin(simplex)], [pivot]
        while stack:
            top, goal = stack[-1], goals[-1]
            if (k, top.simplex) in self._reduced:
                stack.pop(), goals.pop()
                continue
            top.heap, top.n, found, used, u, left = reduce_apparent(
                f.graph, f.bits, k, top.heap, top.n, np.empty(1 << 8, np.int64), 0, left
            )
            if left < 0:
                return None
            top.used.append(used[:u])
            if found == (-1 if goal is None else goal):
                self._reduced[k, top.simplex] = _odd(top.heap[: top.n]), _odd(np.concatenate(top.used))
                continue
            other = ends[int(found)]
            ready = self._reduced.get((k, other))
            if ready is None:
                stack.append(begin(other))
                goals.append(int(found))
                continue
            top.heap, top.n = push_all(ready[0], top.heap, top.n)
            top.used.append(np.append(ready[1], other))
            left -= len(ready[0])
        return self._reduced[k, simplex]

    def _paired(self, k: int) -> dict[int, int]:
        """What ends each simplex of k vertices that is in a pair, but not in an apparent one."""
        if k not in self._ends:
            level = self._barcode.levels[k - 2]
            held = level.deaths >= 0
            self._ends[k] = dict(zip(level.births[held].tolist(), level.deaths[held].tolist(), strict=True))
        return self._ends[k]

    def _around(self, edge: int) -> np.ndarray:
        """The edge and the way between its ends in the minimum spanning forest."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order

        f = self._barcode.filtration
        tree, n = f.forest[0], f.n
        tails, heads = f.graph.ends[tree].T
        forest = csr_array((np.ones(len(tree)), (tails, heads)), shape=(n, n))
        a, b = (int(end) for end in f.graph.ends[edge])
        _, before = breadth_first_order(forest, a, directed=False)
        by = {frozenset(ends): e for e, ends in zip(tree.tolist(), f.graph.ends[tree].tolist(), strict=True)}
        out = [edge]
        while b != a:
            up = int(before[b])
            out.append(by[frozenset((b, up))])
            b = up
        return np.array(out, np.int64)


def _odd(entries: np.ndarray) -> np.ndarray:
    """What is there an odd number of times."""
    found, count = np.unique(entries, return_counts=True)
    return found[count % 2 == 1]
