"""Weighted sums along fixed edges, for many worlds at once, each world's to the last bit as if it were alone.

A product of matrices adds in an order that depends on how many columns there are. Here every node adds its edges one after the
other, in their own order: first the first edge of all nodes, then the second of those that have one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Flow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Wiring:
    """A fixed sparse map from ``n_from`` nodes to ``n_to``.

    Parameters
    ----------
    to, of : (m,) which node takes, and from which. weights : (m,).
    """

    def __init__(
        self,
        to: Int[np.ndarray, " m"],
        of: Int[np.ndarray, " m"],
        weights: Float[np.ndarray, " m"],
        n_to: int,
        n_from: int,
    ):
        self.n_to, self.n_from = n_to, n_from
        order = np.lexsort((of, to))
        to, of = (np.asarray(ends, np.int64)[order] for ends in (to, of))
        weights = np.asarray(weights, np.float64)[order]
        self.to, self.of, self.weights = to, of, weights
        counts = np.bincount(to, minlength=n_to)
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        place = np.arange(len(to)) - np.repeat(
            np.cumsum(counts) - counts, counts
        )  # which of its node's edges
        by_count = np.argsort(-counts, kind="stable")
        rank = np.empty(n_to, dtype=np.int64)
        rank[by_count] = np.arange(n_to)
        self.order = torch.from_numpy(by_count)
        self.back = torch.from_numpy(rank)
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        for k in range(int(counts.max(initial=0))):
            here = np.flatnonzero(place == k)
            here = here[np.argsort(rank[to[here]])]
            self.layers.append(
                (
                    torch.from_numpy(of[here].astype(np.int64)),
                    torch.from_numpy(weights[here].astype(np.float64))[:, None],
                )
            )

    def summed(self, x: Float[np.ndarray, "n_from worlds"]) -> Float[np.ndarray, "n_to worlds"]:
        """What a call gives, compiled."""
        from workbench.numerics.medusa.compiled import summed

        total = np.empty((self.n_to, x.shape[1]))
        summed(self.starts, self.of, self.weights, np.ascontiguousarray(x), total)
        return total

    def __call__(
        self, x: Float[torch.Tensor, "n_from worlds"], flow: tuple[Flow, torch.Tensor] | None = None
    ) -> Float[torch.Tensor, "n_to worlds"]:
        """Sum what comes along the edges.

        Parameters
        ----------
        flow : how much an edge lets through, from the states at its ends, and those states (n, worlds).
        """
        total = torch.zeros(self.n_to, x.shape[1], dtype=x.dtype, device=x.device)
        at = None if flow is None else flow[1][self.order]
        for of, weights in self.layers:
            taken = weights * x[of]
            if flow is not None and at is not None:
                taken = taken * flow[0](at[: len(of)], flow[1][of])
            total[: len(of)] = total[: len(of)] + taken
        return total[self.back]
