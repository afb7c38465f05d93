"""Weighted graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError
from workbench.core.rows import frozen, owned, require_finite, require_real, row_table
from workbench.core.subject import Rowed
from workbench.core.view import View

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Graph(View):
    """A weighted graph.

    Attributes
    ----------
    edges : (m, 2) node positions, 0 to n - 1.
    weights : (m,) finite.
    ids : (n,) row ids of the nodes.
    directed : whether an edge runs only from its first node to its second.
    """

    needs: ClassVar[str] = "a graph (weighted edges)"
    edges: Int[np.ndarray, "m 2"]
    weights: Float[np.ndarray, " m"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    directed: bool = False

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.ids)


class GraphSubject(Rowed):
    """A weighted graph; `workbench.graph` makes one from edges.

    Parameters
    ----------
    edges : (m, 2) node positions. weights : (m,), or None for ones. table : one line a node.
    truth : what is known of how it was made; see `Subject`.
    """

    def __init__(
        self,
        edges: np.ndarray,
        n: int,
        *,
        weights: np.ndarray | None = None,
        directed: bool = False,
        name: str = "graph",
        table: pd.DataFrame | None = None,
        space: str | None = None,
        truth: Mapping[str, Any] | None = None,
    ):
        edges = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        if len(edges) and (edges.min() < 0 or edges.max() >= n):
            raise DataError(
                f"{name}: edges name nodes from {edges.min()} to {edges.max()}; there are {n:,} (0 to {n - 1})."
            )
        if weights is not None:
            require_real(np.asarray(weights), f"{name}'s edge weights")
        super().__init__(name, row_table(table, n, name), space)
        self.edges = frozen(edges)
        self.weights = (
            owned(np.ones(len(edges))) if weights is None else frozen(np.asarray(weights, dtype=np.float64))
        )
        self.directed = directed
        self.truth = dict(truth or {})
        if len(self.weights) != len(edges):
            raise DataError(f"{name}: {len(self.weights):,} weights for {len(edges):,} edges.")

    @classmethod
    def example(cls, variant: int = 0) -> GraphSubject:
        """A random graph of 24 nodes."""
        rng = np.random.default_rng(variant)
        edges = np.array([(i, j) for i in range(24) for j in range(i + 1, 24) if rng.random() < 0.2])
        return cls(edges, 24, weights=rng.uniform(0.1, 1, len(edges)), name="random graph")

    @cached_property
    def digest(self) -> str:
        return digest("graph", self.edges, self.weights, self.directed, self.table_digest)

    @property
    def holds(self) -> str:
        return f"a graph of {len(self):,} nodes and {len(self.edges):,} edges"

    def _take(self, at: np.ndarray) -> GraphSubject:
        new = np.full(len(self), -1)
        new[at] = np.arange(len(at))
        keep = (new[self.edges] >= 0).all(axis=1)
        return GraphSubject(
            new[self.edges[keep]],
            len(at),
            weights=self.weights[keep],
            directed=self.directed,
            name=self.name,
            table=self.table.iloc[at],
            space=self.space,
        )

    def drop_nonfinite(self) -> GraphSubject:
        """Return the graph, all its nodes kept, without the edges whose weight is NaN or infinite."""
        keep = np.isfinite(self.weights)
        return GraphSubject(
            self.edges[keep],
            len(self),
            weights=self.weights[keep],
            directed=self.directed,
            name=self.name,
            table=self.table,
            space=self.space,
        )

    def as_graph(self) -> Graph:
        require_finite(self.weights[:, None], f"{self.name} (edge weights)")
        return Graph(
            self.name, self.digest, self.space, self.edges, self.weights, self.ids, self.table, self.directed
        )
