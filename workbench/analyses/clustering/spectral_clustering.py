"""Spectral clustering: groups that a random walk on the neighbour graph seldom leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.clustering._naming import typical_tokens
from workbench.core.device import resolve
from workbench.core.errors import DataError
from workbench.core.evidence import Alternative, Evidence, Outcome
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.one_lump import NULL, beside_lumps
from workbench.numerics.laplacian import eigengap
from workbench.numerics.resampling import subsample_interval, subsample_intervals
from workbench.numerics.walks import Walk, walk
from workbench.results.partition import Partition
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_array
    from sklearn.cluster import SpectralClustering

CONTROL_ROWS = 500
ALTERNATIVES: tuple[Alternative, ...] = ("less", "less", "greater")
WALKS = 30  # graphs behind the interval of the least cut, at most: each is a search for neighbours
SILHOUETTE_ROWS = 2000  # beyond so many, silhouettes are those of a sample


def estimator(n_clusters: int | None, n_neighbors: int, random_state: int) -> SpectralClustering:
    """Return scikit-learn's estimator, which can't choose the number of clusters: None gives its default, 8."""
    from sklearn.cluster import SpectralClustering

    return SpectralClustering(
        n_clusters=8 if n_clusters is None else n_clusters,
        n_neighbors=n_neighbors,
        affinity="nearest_neighbors",
        random_state=random_state,
    )


@analysis(estimator=estimator)
def spectral_clustering(
    points: Points,
    *,
    n_clusters: Annotated[
        Annotated[int, Interval(ge=2, le=1000)] | None,
        Doc("Clusters; None: as many as the largest eigengap says."),
    ] = None,
    max_clusters: Annotated[
        int, Interval(ge=2, le=100), Doc("Most clusters that the eigengap may choose.")
    ] = 15,
    n_neighbors: Annotated[
        int, Interval(ge=2, le=1000), Doc("Neighbours of a row in the graph, itself included.")
    ] = 10,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Partition:
    """Group rows by k-means on the leading modes of a random walk on their neighbour graph.

    It always finds groups. The control says whether there are any, whatever their number: the least normalized
    cut per cluster that any split in two could have (half the graph's second eigenvalue: Ky Fan), on at most
    500 rows, one of each token and whole texts where the table says so, against that of one lump of the same covariance,
    margins and tails. How seldom the
    walk leaves the groups that were found (normalized cut per cluster, 0 for never) and how much nearer a row
    is to its own than to the next (silhouette) depend on how many there are, so they are tested only where
    ``n_clusters`` is given, and the least cut is then that into so many. Where the row table has a column
    ``token``, a cluster is named by the tokens it has most more of than the rest. Pieces of the graph are clusters
    first; where there are more of them than clusters, the last cluster holds the smaller ones.

    Returns
    -------
    Partition
        ``labels`` (n,) from 0, largest group first; ``spectrum``: the smallest eigenvalues of the graph's
        normalized Laplacian.

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or ``n_clusters``, or all rows equal.

    References
    ----------
    von Luxburg 2007, A tutorial on spectral clustering, Statistics and Computing 17; Liu, Hayes, Nobel and
    Marron 2008, Statistical significance of clustering, J. Am. Stat. Assoc. 103.
    """
    x = points.values
    _check(points, n_clusters, n_neighbors)
    where = resolve(device)
    found = _cluster(x, n_clusters, max_clusters, n_neighbors, random_state, where)
    evidence = _evidence(
        points,
        found,
        n_clusters=n_clusters,
        max_clusters=max_clusters,
        n_neighbors=n_neighbors,
        n_null=n_null,
        n_boot=n_boot,
        random_state=random_state,
        device=where,
    )
    return Partition(
        labels=found.labels,
        ids=points.ids,
        names=typical_tokens(points.column("token"), found.labels) if "token" in points.table.columns else (),
        spectrum=found.spectrum,
        evidence=evidence,
        outcome=_outcome(found, n_clusters, max_clusters),
    )


def _check(points: Points, n_clusters: int | None, n_neighbors: int) -> None:
    """Refuse what has no answer: too few rows, or too few that differ."""
    x = points.values
    n = len(x)
    for name, value in (("n_neighbors", n_neighbors), ("n_clusters", n_clusters or 2)):
        if n <= value:
            raise DataError(
                f"{points.name} has {n:,} {'row' if n == 1 else 'rows'}, and {name}={value} takes more than {value:,}. "
                f"Lower {name} or give more rows."
            )
    if not np.ptp(x, axis=0).any():
        raise DataError(
            f"All {n:,} rows of {points.name} are equal: there is nothing to tell apart. Give rows that differ."
        )
    distinct = len(np.unique(x, axis=0))
    if distinct < (n_clusters or 2):
        raise DataError(
            f"{points.name} has {distinct:,} different rows: n_clusters={n_clusters} can't tell more apart. Lower n_clusters."
        )


class _Found(NamedTuple):
    labels: Int[np.ndarray, " n"]
    walk: Walk
    asked: int

    @property
    def spectrum(self) -> Float[np.ndarray, " m"]:
        return self.walk.values


def _evidence(
    points: Points,
    found: _Found,
    *,
    n_clusters: int | None,
    max_clusters: int,
    n_neighbors: int,
    n_null: int,
    n_boot: int,
    random_state: int,
    device: str,
) -> tuple[Evidence, ...]:
    """The least cut that the graph allows, the cut that was made, and the silhouette, each with its control."""
    x, n = points.values, points.n
    cut = cut_per_cluster(found.walk.graph, found.labels)
    sample, silhouettes = _silhouettes(x, found.labels, random_state)

    parts = n_clusters or 2

    def again(rows: np.ndarray) -> np.ndarray:
        if n_clusters is None:  # cuts and silhouettes of different numbers of clusters don't compare
            return np.array([least_cut(_walk(rows, parts, n_neighbors, random_state).values, parts)])
        other = _cluster(rows, n_clusters, max_clusters, n_neighbors, random_state, "cpu")
        near = _silhouettes(rows, other.labels, random_state)[1]
        return np.array(
            [least_cut(other.spectrum, parts), cut_per_cluster(other.walk.graph, other.labels), near.mean()]
        )

    values = np.array([least_cut(found.spectrum, parts), cut, silhouettes.mean()])[: 3 if n_clusters else 1]
    few = max(CONTROL_ROWS, 2 * n_neighbors, 2 * parts)
    # so few rows are the CPU's, draws and values alike: its k-means and the GPU's choose labels otherwise
    tested = beside_lumps(
        points,
        x,
        again,
        ALTERNATIVES[: len(values)],
        rows=few,
        n_null=n_null,
        random_state=random_state,
        what="spectral_clustering",
    )
    some, groups = x[tested.sample.at], tested.sample.groups
    walks = n_boot if len(some) > 2 * max(n_neighbors, parts) else 0
    around = subsample_intervals(
        lambda i: np.array([least_cut(_walk(some[i], parts, n_neighbors, random_state).values, parts)]),
        tested.values[:1],
        len(some),
        min(walks, WALKS),
        random_state,
        least=0,
        groups=groups,
    )[0]
    subsamples = f"subsamples of half of the {points.unit}, labels kept"
    chosen = NULL.refused("it depends on how many clusters were chosen: give n_clusters to test it")
    own = {"value": cut, "n": n}, {"value": silhouettes.mean(), "n": len(sample)}
    k = int(found.labels.max()) + 1
    return (
        Evidence(
            question="Does the graph fall apart more easily than that of one lump like the rows?",
            id="least_cut",
            label=f"least possible cut into {parts} clusters",
            value=tested.values[0],
            n=len(some),
            interval=around,
            interval_method=f"subsamples of half of the {points.unit if groups is not None else 'rows'}",
            **tested.said[0],
        ),
        Evidence(
            question=f"Does a walk leave the {k} clusters less often than those of one lump like the rows?",
            id="cut_per_cluster",
            label="normalized cut per cluster",
            interval=subsample_intervals(
                lambda i: np.array([cut_per_cluster(found.walk.graph[i][:, i], found.labels[i])]),
                np.array([cut]),
                n,
                n_boot,
                random_state,
                least=0,
                groups=points.groups,
            )[0],
            interval_method=subsamples,
            **(tested.against(values, n, 1) if n_clusters else {**own[0], **chosen, "alternative": "less"}),
        ),
        Evidence(
            question=f"Are the {k} clusters better apart than those of one lump like the rows?",
            id="silhouette",
            label="silhouette",
            interval=subsample_interval(
                lambda i: float(silhouettes[i].mean()), silhouettes.mean(), len(sample), n_boot, random_state
            ),
            interval_method=subsamples,
            **(tested.against(values, len(sample), 2) if n_clusters else {**own[1], **chosen}),
        ),
    )


def _cluster(
    x: np.ndarray, n_clusters: int | None, max_clusters: int, n_neighbors: int, random_state: int, device: str
) -> _Found:
    size = max(max_clusters, n_clusters or 0) + 1
    found = _walk(x, size, n_neighbors, random_state, device)
    k = n_clusters or eigengap(found.values[: max_clusters + 1])
    return _Found(largest_first(found.cluster(k, random_state)), found, k)


def _walk(x: np.ndarray, size: int, n_neighbors: int, random_state: int, device: str = "cpu") -> Walk:
    return walk(x, min(size, len(x)), n_neighbors - 1, device=device, random_state=random_state)


def least_cut(spectrum: Float[np.ndarray, " m"], k: int) -> float:
    """Mean of the ``k`` smallest eigenvalues: a lower bound on the normalized cut per cluster into ``k``."""
    return round(float(spectrum[:k].mean()), 9)


def cut_per_cluster(graph: csr_array, labels: Int[np.ndarray, " n"]) -> float:
    """Mean over clusters of the share of a cluster's edge weight that leaves it."""
    edges = graph.tocoo()
    leaving = labels[edges.row] != labels[edges.col]
    volume = np.bincount(labels[edges.row], edges.data)
    cut = np.bincount(labels[edges.row], edges.data * leaving)
    held = volume > 0
    return float((cut[held] / volume[held]).mean()) if held.any() else 0.0


def largest_first(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number groups from the largest, and among equals from the one that comes first."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(first), np.int64)
    place[np.lexsort((first, -counts))] = np.arange(len(first))
    return place[inverse]


def _silhouettes(x: np.ndarray, labels: np.ndarray, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.metrics import silhouette_samples

    rows = np.arange(len(x))
    if len(x) > SILHOUETTE_ROWS:
        rng = np.random.default_rng([random_state, 0x73696C])
        rows = np.sort(rng.choice(len(x), SILHOUETTE_ROWS, replace=False))
    if not 2 <= len(np.unique(labels[rows])) < len(rows):
        return rows, np.zeros(len(rows))  # as scikit-learn gives a row that is alone in its group
    return rows, np.asarray(silhouette_samples(x[rows], labels[rows]))


def _outcome(found: _Found, n_clusters: int | None, max_clusters: int) -> Outcome:
    got = int(found.labels.max()) + 1
    if got < found.asked:
        return Outcome(
            "stopped",
            f"Only {got} of {found.asked} clusters hold rows: too few rows differ. Lower n_clusters.",
        )
    if n_clusters is None and found.walk.pieces > max_clusters:
        return Outcome(
            "stopped",
            f"The neighbour graph fell into {found.walk.pieces} pieces, more than max_clusters={max_clusters}, so the "
            f"eigengap can't choose among them: raise n_neighbors (or max_clusters).",
        )
    if found.walk.pieces > 1:
        return Outcome(
            advice=f"The neighbour graph fell into {found.walk.pieces} pieces, which count as clusters first: raise n_neighbors "
            f"if they shouldn't."
        )
    if n_clusters is None and np.diff(found.spectrum[:3])[0] > np.diff(found.spectrum)[1:].max(initial=0):
        return Outcome(
            advice=f"The spectrum's largest gap is after its first eigenvalue, as for rows in one piece; {found.asked} "
            f"clusters follow from the next one."
        )
    return Outcome()
