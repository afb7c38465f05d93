"""Attention over layers: rollout and flow, from each token of the last layer to each token that is read.

References
----------
Abnar and Zuidema 2020, Quantifying attention flow in transformers, ACL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

CAPACITY = 1_000_000
"""What the weight 1 is as a whole number, which maximum flow takes."""


def with_residual(maps: Float[np.ndarray, "l t t"]) -> Float[np.ndarray, "l t t"]:
    """Half of what a token hands on it takes from the others, half it has already (the residual connection)."""
    a = maps + np.eye(maps.shape[-1])
    return a / a.sum(axis=-1, keepdims=True)


def rollout(maps: Float[np.ndarray, "l t t"]) -> Float[np.ndarray, "l t t"]:
    """At each layer how much of each token (row) comes from each that is read (column), as products of the layers' weights.

    Parameters
    ----------
    maps : of each layer, averaged over its heads, the first layer first.
    """
    out = np.empty_like(maps)
    so_far = np.eye(maps.shape[-1])
    for i, a in enumerate(with_residual(maps)):
        so_far = a @ so_far
        out[i] = so_far
    return out


def flow(maps: Float[np.ndarray, "l t t"], queries: np.ndarray) -> Float[np.ndarray, "q t"]:
    """The greatest flow from some tokens of the last layer to each that is read, each row with the sum 1.

    The network of flow has a node a token and layer, and edges of the weights with the residual connection.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    layers, t, _ = maps.shape
    weights = np.rint(with_residual(maps) * CAPACITY).astype(np.int32)
    # node (i, p) is token p behind i layers; edges lead down, from what is handed on to what it was made of
    upper, lower = np.meshgrid(np.arange(t), np.arange(t), indexing="ij")
    rows = np.concatenate([((i + 1) * t + upper).ravel() for i in range(layers)])
    columns = np.concatenate([(i * t + lower).ravel() for i in range(layers)])
    nodes = (layers + 1) * t
    graph = csr_array((weights.reshape(-1), (rows, columns)), shape=(nodes, nodes), dtype=np.int32)
    graph.eliminate_zeros()
    out = np.zeros((len(queries), t))
    for i, query in enumerate(queries):
        for key in range(t):
            out[i, key] = maximum_flow(graph, layers * t + int(query), key).flow_value
    total = out.sum(axis=1, keepdims=True)
    return np.divide(out, total, out=out, where=total > 0)
