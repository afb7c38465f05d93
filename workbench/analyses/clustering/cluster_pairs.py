"""Cluster pairs: whether clusters that lie side by side are more than one lump that was cut in two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.clustering._clusters import Recipe, cluster, silhouettes
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.one_lump import beside_lumps
from workbench.evidence.nulls.sampling import sampled
from workbench.numerics.controls import NO_CLAIM
from workbench.results.estimate import Estimate
from workbench.results.partition import Partition
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STARTS = 3  # of k-means
NEIGHBOURS = 10  # in the graph of the other cut


@analysis
def cluster_pairs(
    points: Points,
    clusters: Partition,
    *,
    max_rows: Annotated[
        int, Interval(ge=20, le=2000), Doc("Rows of a pair that are looked at, where it has more.")
    ] = 300,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Ask of each cluster and the one nearest to it whether they are more than one lump that was cut in two.

    Clusters differ in the rows in which they were found, whatever these are: any lump that is cut in two has halves that
    differ. So the null makes the same choice. It draws one lump like the rows of both clusters (of their covariance, margins
    and tails, with rows of one text as alike as they are), cuts it in two, by k-means and by a random walk on its neighbour
    graph, and takes the cut of which rows lie nearer to their own half than to the other (the mean silhouette). Two parts
    of a lump that was cut in more aren't always a lump, so a pair that is better apart is set beside one lump like all rows
    too, cut in as many as there are clusters: beside the pair of it that is best apart. Only what exceeds both is found.
    The nearest cluster is the one whose mean is nearest; rows without a cluster are left out.

    Returns
    -------
    Estimate
        One number a pair: the mean silhouette of their rows, as if there were no others.

    Raises
    ------
    DataError
        Fewer than two clusters.

    References
    ----------
    Gao, Bien and Witten 2024, Selective inference for hierarchical clustering, J. Am. Stat. Assoc. 119 (what is wrong with
    testing clusters on their own rows, or on others that are assigned to them; their test is exact for independent Gaussian
    rows of one variance); Liu, Hayes, Nobel and Marron 2008, Statistical significance of clustering, J. Am. Stat. Assoc. 103
    (a lump that is clustered as the rows were); Rousseeuw 1987, Silhouettes, J. Comput. Appl. Math. 20.
    """
    labels = clusters.labels
    groups = np.unique(labels[labels >= 0])
    if len(groups) < 2:
        raise DataError(
            f"{clusters.called} has {len(groups)} clusters; a pair takes two. Ask for more clusters."
        )
    evidence = []
    for a, b in _side_by_side(points.values, labels):
        names = clusters.name_of(a), clusters.name_of(b)
        of = f"{names[0]} and {names[1]}" if names[0] != names[1] else f"{a} and {b}"
        at = np.flatnonzero((labels == a) | (labels == b))
        evidence.append(_asked(points.take(at), labels[at] == a, of, max_rows, n_null, random_state))
    likeliest = [e for e in evidence if e.p_value is not None and e.p_value <= NO_CLAIM]
    if likeliest and len(groups) > 2:
        most = max(e.value for e in likeliest)
        inside = points.take(np.flatnonzero(labels >= 0))
        null = _of_all(inside, most, len(groups), max_rows, n_null, random_state)
        evidence = [_harder(e, null) if e in likeliest else e for e in evidence]
    return Estimate(evidence=tuple(evidence))


def _side_by_side(x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Each group and the one whose mean is nearest, every pair once."""
    groups = np.unique(labels[labels >= 0])
    means = np.stack([x[labels == g].mean(axis=0, dtype=np.float64) for g in groups])
    apart = np.linalg.norm(means[:, None] - means, axis=2)
    np.fill_diagonal(apart, np.inf)
    pairs = {tuple(sorted((i, int(j)))) for i, j in enumerate(apart.argmin(axis=1))}
    return [(int(groups[i]), int(groups[j])) for i, j in sorted(pairs)]


def _asked(
    pair: Points, first: np.ndarray, of: str, max_rows: int, n_null: int, random_state: int
) -> Evidence:
    recipe = _recipe(2, random_state)
    own = [first[sampled(pair, pair.values, rows=max_rows, random_state=random_state).at].astype(np.int64)]

    def apart(rows: np.ndarray) -> np.ndarray:
        cuts = [own.pop()] if own else _cuts(rows, recipe)  # the pair's own rows come first
        return np.array([max(silhouettes(rows, c, recipe).mean() for c in cuts)])

    tested = beside_lumps(
        pair,
        pair.values,
        apart,
        ("greater",),
        rows=max_rows,
        n_null=n_null,
        random_state=random_state,
        what="cluster_pairs",
        least=recipe.least + 1,
    )
    return Evidence(
        id="apart",
        of=of,
        question=f"Are {of} more than one lump cut in two?",
        label=f"silhouette of {of}",
        value=tested.values[0],
        n=len(tested.sample.at),
        **tested.said[0],
    )


def _of_all(
    points: Points, most: float, k: int, max_rows: int, n_null: int, random_state: int
) -> dict[str, Any]:
    """How far the pair that is best apart of one lump like all rows is, cut in ``k``: the null's fields of `Evidence`.

    Parameters
    ----------
    most : how far apart the pair is that is best apart of the rows themselves.
    """
    recipe = _recipe(k, random_state)
    own = [most]

    def best(rows: np.ndarray) -> np.ndarray:
        if own:
            return np.array([own.pop()])
        return np.array([max(_best_pair(rows, c, recipe) for c in _cuts(rows, recipe))])

    tested = beside_lumps(
        points,
        points.values,
        best,
        ("greater",),
        rows=max(max_rows, recipe.least + 1),
        n_null=n_null,
        random_state=random_state,
        what="cluster_pairs",
    )
    return tested.said[0]


def _best_pair(rows: Float[np.ndarray, "m d"], labels: Int[np.ndarray, " m"], recipe: Recipe) -> float:
    found = []
    for a, b in _side_by_side(rows, labels):
        at = (labels == a) | (labels == b)
        found.append(float(silhouettes(rows[at], labels[at], recipe).mean()))
    return max(found, default=0.0)


def _harder(asked: Evidence, null: dict[str, Any]) -> Evidence:
    """The answer beside whichever null contradicts it less."""
    other = replace(asked, **null)
    if other.p_value is None or asked.p_value is None or other.p_value <= asked.p_value:
        return asked
    return other


def _recipe(k: int, random_state: int) -> Recipe:
    return Recipe(k, k, NEIGHBOURS, "nearest_neighbors", random_state)


def _cuts(rows: Float[np.ndarray, "m d"], recipe: Recipe) -> list[Int[np.ndarray, " m"]]:
    """The rows cut in as many as the recipe says, by k-means and along the walk."""
    from sklearn.cluster import KMeans

    means = KMeans(recipe.n_clusters, n_init=STARTS, random_state=recipe.random_state).fit(rows)
    return [means.labels_.astype(np.int64), cluster(rows, recipe, "cpu").labels]
