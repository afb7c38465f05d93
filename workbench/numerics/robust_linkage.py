"""Single linkage of rows that outliers can't lead: components count once they hold enough rows, by the density between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

NEIGHBOURS = 5  # that a row must reach before it joins a component
SHARE = 0.05  # of the rows that make a component
FEWEST = 5  # rows that make one, however few there are


def deepest_valley(distances: Float[np.ndarray, "n n"], limit: float | None = None) -> float:
    """Return the logarithm of how many times thinner rows lie between two components than in the thinner of them.

    Rows are as far apart as their distance, or as the farther of their fifth neighbours if that is more (mutual
    reachability). A component is born where it comes to hold 5 % of the rows, at least 5, and the younger of two dies where
    they merge: this is the longest life, log(death / birth), of those that die, times the dimension that rows fill near
    each other, which makes densities of distances. So an outlier is no component, and rows on a curve, whose distances vary
    more than in a volume, have no more of them. Scale doesn't matter. 0 where there is one component.

    Parameters
    ----------
    limit : merges beyond this distance count as if they were there.

    References
    ----------
    Chaudhuri and Dasgupta 2010, Rates of convergence for the cluster tree, NIPS; Campello, Moulavi and Sander 2013,
    Density-based clustering based on hierarchical density estimates, PAKDD; Levina and Bickel 2004, Maximum likelihood
    estimation of intrinsic dimension, NIPS.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n, k = len(distances), NEIGHBOURS
    least = max(FEWEST, int(np.ceil(SHARE * n)))
    if n <= 2 * max(least, k):
        return 0.0
    near = np.partition(distances, (k, 2 * k), axis=1)  # itself is the nearest
    core, wider = near[:, k], near[:, 2 * k]
    if not core.all():  # equal rows have no density
        return 0.0
    dimension = float((1 / np.arange(k, 2 * k)).sum() / max(np.log(wider / core).mean(), 1e-6))
    reach = np.maximum(np.maximum(distances, core[:, None]), core)
    np.fill_diagonal(reach, 0)
    tree = linkage(squareform(reach, checks=False), "single")
    size = np.append(np.ones(n), tree[:, 3])
    born = np.full(2 * n - 1, np.inf)
    longest = 0.0
    for i, (a, b) in enumerate(tree[:, :2].astype(np.int64).tolist()):
        height = float(tree[i, 2])
        younger, older = max(born[a], born[b]), min(born[a], born[b])
        death = height if limit is None else min(height, limit)
        if younger < death:
            longest = max(longest, float(np.log(death / younger)))
        born[n + i] = min(older, height) if size[n + i] >= least else np.inf
    return dimension * longest
