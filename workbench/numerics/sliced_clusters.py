"""Density clusters (DBSCAN) in each of many overlapping slices of a few hundred rows, whose distances are had once.

A control asks it a hundred times of some seventy slices: a library's estimator for each takes ten times as long to call as
to answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


def sliced_clusters(
    near: Bool[np.ndarray, "n n"], slices: Bool[np.ndarray, "n s"], min_samples: int
) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Cluster the rows of each slice by density, as scikit-learn's `DBSCAN` does: noise is in no cluster.

    Parameters
    ----------
    near : which rows lie within eps of which, themselves included. slices : which rows each slice has.
    min_samples : rows near a core row, itself included.

    Returns
    -------
    rows, clusters : an entry for each row of each cluster, the cluster numbered over all slices.

    References
    ----------
    Ester, Kriegel, Sander and Xu 1996, A density-based algorithm for discovering clusters, KDD.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    of_slice, edges, many = [], [], 0  # core rows are numbered through all slices
    for inside in slices.T:
        at = np.flatnonzero(inside)
        among = near[at][:, at]
        core = among.sum(axis=1) >= min_samples
        if core.any():
            reached = among[:, core]
            edges.append(np.stack(np.nonzero(reached[core])) + many)
            of_slice.append((at, reached, slice(many, many := many + reached.shape[1])))
    if not many:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    u, v = np.concatenate(edges, axis=1)
    found, label = connected_components(
        coo_array((np.ones(len(u), bool), (u, v)), (many, many)), directed=False
    )
    place = np.empty(found, np.int64)
    place[np.argsort(np.unique(label, return_index=True)[1])] = np.arange(found)  # by the first core row
    label = place[label]
    # what is near several clusters is of the first, which reaches out before the next begins
    first = [np.where(reached, label[core], found).min(axis=1) for _, reached, core in of_slice]
    rows, clusters = np.concatenate([at for at, *_ in of_slice]), np.concatenate(first)
    return rows[clusters < found], clusters[clusters < found]
