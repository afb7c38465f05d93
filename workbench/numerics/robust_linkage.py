"""Single linkage of rows that outliers can't lead: components count once they hold enough rows, at the scale of their density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

NEIGHBOURS = 5  # that a row must reach before it joins a component
SHARE = 0.05  # of the rows that make a component
FEWEST = 5  # rows that make one, however few there are


def longest_life(distances: Float[np.ndarray, "n n"], limit: float | None = None) -> float:
    """Return the longest life of a component but the first, log(death / birth); 0 where there is one component.

    Rows are as far apart as their distance, or as the farther of their fifth neighbours if that is more (mutual
    reachability). A component is born where it comes to hold 5 % of the rows, at least 5, and the younger of two dies where
    they merge. So an outlier is no component, and one that is thin everywhere isn't far from the others for it. Scale
    doesn't matter.

    Parameters
    ----------
    limit : merges beyond this distance count as if they were there.

    References
    ----------
    Chaudhuri and Dasgupta 2010, Rates of convergence for the cluster tree, NIPS; Campello, Moulavi and Sander 2013,
    Density-based clustering based on hierarchical density estimates, PAKDD.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n = len(distances)
    least = max(FEWEST, int(np.ceil(SHARE * n)))
    if n < 2 * least:
        return 0.0
    core = np.partition(distances, NEIGHBOURS, axis=1)[:, NEIGHBOURS]  # itself is the nearest
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
        if 0 < younger < death:
            longest = max(longest, float(np.log(death / younger)))
        born[n + i] = min(older, height) if size[n + i] >= least else np.inf
    return longest
