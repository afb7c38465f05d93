"""Single linkage of rows that outliers can't lead: components count once they hold enough rows, by the density between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NEIGHBOURS = 5  # that a row must reach before it joins a component
SHARE = 0.05  # of the rows that make a component
FEWEST = 5  # rows that make one, however few there are


class Linked(NamedTuple):
    """Rows joined one after the other, and how long what was joined had lived.

    Attributes
    ----------
    tree : (n - 1, 4) merges as `scipy.cluster.hierarchy.linkage` gives them, by mutual reachability.
    lives : (n - 1,) log(death / birth) of the younger of two components that a merge joins, 0 where it joins none.
    dimension : that rows fill near each other.
    """

    tree: Float[np.ndarray, "m 4"]
    lives: Float[np.ndarray, " m"]
    dimension: float


def least_rows(n: int) -> int:
    """How many rows make a component, of ``n``."""
    return max(FEWEST, int(np.ceil(SHARE * n)))


def linked(distances: Float[np.ndarray, "n n"], limit: float | None, least: int) -> Linked | None:
    """Join rows by mutual reachability; None where there are too few for two components, or equal rows, without density.

    Parameters are those of `deepest_valley`.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n, k = len(distances), NEIGHBOURS
    if n <= 2 * max(least, k):
        return None
    near = np.partition(distances, (k, 2 * k), axis=1)  # itself is the nearest
    core, wider = near[:, k], near[:, 2 * k]
    if not core.all():
        return None
    dimension = float((1 / np.arange(k, 2 * k)).sum() / max(np.log(wider / core).mean(), 1e-6))
    reach = np.maximum(np.maximum(distances, core[:, None]), core)
    np.fill_diagonal(reach, 0)
    tree = linkage(squareform(reach, checks=False), "single")
    size = np.append(np.ones(n), tree[:, 3])
    born = np.full(2 * n - 1, np.inf)
    lives = np.zeros(n - 1)
    # born[c] is the height at which component c, or the older of those in it, came to hold enough rows; inf before
    for i, (a, b) in enumerate(tree[:, :2].astype(np.int64).tolist()):
        height = float(tree[i, 2])
        younger, older = max(born[a], born[b]), min(born[a], born[b])
        death = height if limit is None else min(height, limit)
        if younger < death:
            lives[i] = np.log(death / younger)
        born[n + i] = min(older, height) if size[n + i] >= least else np.inf
    return Linked(tree, lives, dimension)


def deepest_valley(
    distances: Float[np.ndarray, "n n"], limit: float | None = None, least: int | None = None
) -> float:
    """Return the logarithm of how many times thinner rows lie between two components than in the thinner of them.

    Rows are as far apart as their distance, or as the farther of their fifth neighbours if that is more (mutual
    reachability). A component is born where it comes to hold 5 % of the rows, at least 5, and the younger of two dies where
    they merge: this is the longest life, log(death / birth), of those that die, times the dimension that rows fill near
    each other, which makes densities of distances. So an outlier is no component. Scale doesn't matter. 0 where there is one
    component.

    How deep a valley comes by chance hangs on the shape: on a curve, which a single gap parts, it is deeper than on a surface,
    and there than in a volume. See `workbench.numerics.pieces` for what it is to be set beside.

    Parameters
    ----------
    limit : merges beyond this distance count as if they were there.
    least : rows that make a component; None: those of `least_rows`.

    References
    ----------
    Chaudhuri and Dasgupta 2010, Rates of convergence for the cluster tree, NIPS; Campello, Moulavi and Sander 2013,
    Density-based clustering based on hierarchical density estimates, PAKDD; Levina and Bickel 2004, Maximum likelihood
    estimation of intrinsic dimension, NIPS.
    """
    found = linked(distances, limit, least_rows(len(distances)) if least is None else least)
    return 0.0 if found is None else found.dimension * float(found.lives.max())


def parted(found: Linked, share: float) -> list[Int[np.ndarray, " m"]]:
    """Part the rows at every valley that is at least ``share`` times as deep as the deepest; positions, piece by piece.

    Rows that join a piece only beyond such a valley are pieces of their own.
    """
    n = len(found.tree) + 1
    parts = np.append(np.zeros(n, bool), found.lives >= max(share * found.lives.max(), 1e-12))
    members: list[list[int]] = [[i] for i in range(n)]
    pieces: list[list[int]] = []
    # what isn't parted so far holds its rows; what is has handed them over as pieces
    for i, (a, b) in enumerate(found.tree[:, :2].astype(np.int64).tolist(), start=n):
        parts[i] |= parts[a] | parts[b]
        if parts[i]:
            pieces += [members[c] for c in (a, b) if members[c]]
        members.append([] if parts[i] else members[a] + members[b])
    return [np.sort(p) for p in [*pieces, members[-1]] if len(p)]
