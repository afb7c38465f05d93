"""Bookmarks: the most tethered edges of a network at some steps of its descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.digest import digest

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Bookmarks:
    """Equally many edges at each of some steps.

    Attributes
    ----------
    name : what they are called; of recorded ones, unless told otherwise, their source.
    source : of the tethers, a name from `workbench.numerics.tethers.SOURCES`.
    fraction, scope : how many edges of what; see `workbench.numerics.tethers.top`.
    shapes : of each layer; edges are numbered through all of them, one after another, row by row.
    steps : (k,) ascending. edges : k ascending arrays of edges' numbers.
    """

    name: str
    source: str
    fraction: float
    scope: str
    shapes: Mapping[str, tuple[int, ...]]
    steps: Int[np.ndarray, " k"]
    edges: Sequence[Int[np.ndarray, " e"]]

    @property
    def size(self) -> int:
        """How many edges there are in all."""
        return sum(int(np.prod(s)) for s in self.shapes.values())

    @property
    def digest(self) -> str:
        """Digest of the content."""
        shapes = [[n, list(s)] for n, s in self.shapes.items()]
        return digest(
            "bookmarks", self.source, self.fraction, self.scope, shapes, np.asarray(self.steps), *self.edges
        )

    def members(self) -> Bool[np.ndarray, "k d"]:
        """Which edges are bookmarked at each step."""
        out = np.zeros((len(self.steps), self.size), bool)
        for row, edges in zip(out, self.edges, strict=True):
            row[edges] = True
        return out

    def layers(self, edges: Int[np.ndarray, " e"]) -> dict[str, Int[np.ndarray, " e"]]:
        """Edges' numbers as positions in each layer's own flattened weight; layers without any are left out."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + int(np.prod(shape))
            inside = edges[(edges >= start) & (edges < end)]
            if len(inside):
                found[name] = inside - start
            start = end
        return found

    def turnover(self) -> Float[np.ndarray, " j"]:
        """Jaccard index of each bookmark with the one before: (k - 1,), 1 where no edge changed."""
        return np.array([jaccard(a, b) for a, b in zip(self.edges[:-1], self.edges[1:], strict=True)])


def jaccard(a: Int[np.ndarray, " e"], b: Int[np.ndarray, " f"]) -> float:
    """Edges in both over edges in either; 1 for two empty sets."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    either = len(a) + len(b) - both
    return both / either if either else 1.0
