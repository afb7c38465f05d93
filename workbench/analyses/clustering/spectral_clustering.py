"""Spectral clustering: groups that a random walk on the neighbour graph seldom leaves."""

from __future__ import annotations

from collections.abc import Callable
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
from workbench.evidence.nulls.one_lump import NULL, Tested, beside_lumps
from workbench.evidence.nulls.sampling import grouping
from workbench.numerics.controls import Drawn
from workbench.numerics.distances import (
    PRECOMPUTED,
    Affinity,
    among,
    like_distances,
    require_affinities,
    require_distances,
)
from workbench.numerics.exchangeable import sample
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
UNTESTED = {
    "nearest_neighbors": "",
    "precomputed": "affinities without rows can't be set beside a lump like them",
    "precomputed_nearest_neighbors": "distances without rows can't be set beside a lump like them",
}
NO_SILHOUETTE = "Affinities aren't distances, so silhouettes were not asked."


def estimator(
    n_clusters: int | None, n_neighbors: int, affinity: Affinity, random_state: int
) -> SpectralClustering:
    """Return scikit-learn's estimator, which can't choose the number of clusters: None gives its default, 8."""
    from sklearn.cluster import SpectralClustering

    return SpectralClustering(
        n_clusters=8 if n_clusters is None else n_clusters,
        n_neighbors=n_neighbors,
        affinity=affinity,
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
    affinity: Annotated[
        Affinity,
        Doc(
            "What the graph is made of: of rows; 'precomputed': the rows are affinities, which are the graph (n_neighbors "
            "isn't read); 'precomputed_nearest_neighbors': the rows are distances."
        ),
    ] = "nearest_neighbors",
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
    first; where there are more of them than clusters, the last cluster holds the smaller ones. Given distances and
    affinities have no null, and affinities no silhouette.

    Returns
    -------
    Partition
        ``labels`` (n,) from 0, largest group first; ``spectrum``: the smallest eigenvalues of the graph's
        normalized Laplacian.

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or ``n_clusters``, all rows equal, or what are given as distances or
        affinities are none.

    References
    ----------
    von Luxburg 2007, A tutorial on spectral clustering, Statistics and Computing 17; Liu, Hayes, Nobel and
    Marron 2008, Statistical significance of clustering, J. Am. Stat. Assoc. 103.
    """
    recipe = _Recipe(n_clusters, max_clusters, n_neighbors, affinity, random_state)
    _check(points, recipe)
    x = points.values
    if affinity == "precomputed":
        x = require_affinities(x, points.name)
    elif affinity == "precomputed_nearest_neighbors":
        x = require_distances(x, points.name, f"affinity={affinity!r}")
    found = _cluster(x, recipe, resolve(device))
    evidence = _evidence(points, x, found, recipe, n_null, n_boot)
    told = (NO_SILHOUETTE, like_distances(points.values, points.name)) if affinity == PRECOMPUTED else ()
    return Partition(
        labels=found.labels,
        ids=points.ids,
        names=typical_tokens(points.column("token"), found.labels) if "token" in points.table.columns else (),
        spectrum=found.spectrum,
        evidence=evidence,
        outcome=_outcome(found, recipe),
        caveat=" ".join(filter(None, told)),
    )


class _Recipe(NamedTuple):
    """Everything that makes clusters of rows; see `spectral_clustering` for what each is."""

    n_clusters: int | None
    max_clusters: int
    n_neighbors: int
    affinity: Affinity
    random_state: int

    @property
    def untested(self) -> str:
        """Why there is no null, if there is none."""
        return UNTESTED[self.affinity]

    @property
    def least(self) -> int:
        """No graph has fewer rows, or as many."""
        parts = self.n_clusters or 2
        return parts if self.affinity == PRECOMPUTED else max(self.n_neighbors, parts)


def _check(points: Points, recipe: _Recipe) -> None:
    """Refuse what has no answer: too few rows, or too few that differ."""
    x, n_clusters = points.values, recipe.n_clusters
    n = len(x)
    for name, value in (("n_neighbors", recipe.n_neighbors), ("n_clusters", n_clusters or 2)):
        if n <= value <= recipe.least:
            raise DataError(
                f"{points.name} has {n:,} {'row' if n == 1 else 'rows'}, and {name}={value} takes more than {value:,}. "
                f"Lower {name} or give more rows."
            )
    if recipe.affinity == PRECOMPUTED:  # who has the same affinities need not be the same
        return
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
    points: Points, x: np.ndarray, found: _Found, recipe: _Recipe, n_null: int, n_boot: int
) -> tuple[Evidence, ...]:
    """The least cut that the graph allows, the cut that was made, and the silhouette, each with its control."""
    n, n_clusters, random_state = points.n, recipe.n_clusters, recipe.random_state
    cut = cut_per_cluster(found.walk.graph, found.labels)
    asked, silhouettes = _silhouettes(x, found.labels, recipe)
    parts = n_clusters or 2

    def again(rows: np.ndarray) -> np.ndarray:
        if n_clusters is None:  # cuts and silhouettes of different numbers of clusters don't compare
            return np.array([least_cut(_walk(rows, parts, recipe).values, parts)])
        other = _cluster(rows, recipe, "cpu")
        near = _silhouettes(rows, other.labels, recipe)[1]
        return np.array(
            [least_cut(other.spectrum, parts), cut_per_cluster(other.walk.graph, other.labels), near.mean()]
        )

    values = np.array([least_cut(found.spectrum, parts), cut, silhouettes.mean()])[: 3 if n_clusters else 1]
    few = max(CONTROL_ROWS, 2 * recipe.n_neighbors, 2 * parts)
    # so few rows are the CPU's, draws and values alike: its k-means and the GPU's choose labels otherwise
    tested = (
        _untested(points, x, again, recipe, few)
        if recipe.untested
        else beside_lumps(
            points,
            x,
            again,
            ALTERNATIVES[: len(values)],
            rows=few,
            n_null=n_null,
            random_state=random_state,
            what="spectral_clustering",
        )
    )
    some, groups = among(x, tested.sample.at, recipe.affinity), tested.sample.groups
    walks = n_boot if len(some) > 2 * recipe.least else 0
    around = subsample_intervals(
        lambda i: np.array([least_cut(_walk(among(some, i, recipe.affinity), parts, recipe).values, parts)]),
        tested.values[:1],
        len(some),
        min(walks, WALKS),
        random_state,
        least=0,
        groups=groups,
    )[0]
    subsamples = f"subsamples of half of the {points.unit}, labels kept"
    chosen = NULL.refused(
        recipe.untested or "it depends on how many clusters were chosen: give n_clusters to test it"
    )
    own = {"value": cut, "n": n}, {"value": silhouettes.mean(), "n": len(asked)}
    k = int(found.labels.max()) + 1
    evidence = (
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
                lambda i: float(silhouettes[i].mean()), silhouettes.mean(), len(asked), n_boot, random_state
            ),
            interval_method=subsamples,
            **(tested.against(values, len(asked), 2) if n_clusters else {**own[1], **chosen}),
        ),
    )
    return evidence[:2] if recipe.affinity == PRECOMPUTED else evidence


def _untested(
    points: Points,
    x: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    recipe: _Recipe,
    rows: int,
) -> Tested:
    """What `beside_lumps` gives, of a matrix that no lump can be made of."""
    kinds = np.arange(points.n) if points.kinds is None else points.kinds
    some = sample(None, points.groups, kinds, rows=rows, random_state=recipe.random_state)
    if len(some.at) <= recipe.least:  # one row of each kind is too few for a graph
        some = sample(None, points.groups, np.arange(points.n), rows=rows, random_state=recipe.random_state)
    values = statistics(among(x, some.at, recipe.affinity))
    together = grouping(points, some)
    said = [{**NULL.refused(recipe.untested, a), "groups": together} for a in ALTERNATIVES[: len(values)]]
    return Tested(some, values, [Drawn(np.empty(0))] * len(values), said)


def _cluster(x: np.ndarray, recipe: _Recipe, device: str) -> _Found:
    size = max(recipe.max_clusters, recipe.n_clusters or 0) + 1
    found = _walk(x, size, recipe, device)
    k = recipe.n_clusters or eigengap(found.values[: recipe.max_clusters + 1])
    return _Found(largest_first(found.cluster(k, recipe.random_state)), found, k)


def _walk(x: np.ndarray, size: int, recipe: _Recipe, device: str = "cpu") -> Walk:
    return walk(
        x,
        min(size, len(x)),
        recipe.n_neighbors - 1,
        affinity=recipe.affinity,
        device=device,
        random_state=recipe.random_state,
    )


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


def _silhouettes(x: np.ndarray, labels: np.ndarray, recipe: _Recipe) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.metrics import silhouette_samples

    rows = np.arange(len(x))
    if len(x) > SILHOUETTE_ROWS:
        rng = np.random.default_rng([recipe.random_state, 0x73696C])
        rows = np.sort(rng.choice(len(x), SILHOUETTE_ROWS, replace=False))
    if recipe.affinity == PRECOMPUTED or not 2 <= len(np.unique(labels[rows])) < len(rows):
        return rows, np.zeros(len(rows))  # as scikit-learn gives a row that is alone in its group
    metric = PRECOMPUTED if recipe.untested else "euclidean"
    return rows, np.asarray(silhouette_samples(among(x, rows, metric), labels[rows], metric=metric))


def _outcome(found: _Found, recipe: _Recipe) -> Outcome:
    n_clusters, max_clusters = recipe.n_clusters, recipe.max_clusters
    graph, more = "neighbour graph", "raise n_neighbors"
    if recipe.affinity == PRECOMPUTED:
        graph, more = "graph of affinities", "give more affinities above 0"
    got = int(found.labels.max()) + 1
    if got < found.asked:
        return Outcome(
            "stopped",
            f"Only {got} of {found.asked} clusters hold rows: too few rows differ. Lower n_clusters.",
        )
    if n_clusters is None and found.walk.pieces > max_clusters:
        return Outcome(
            "stopped",
            f"The {graph} fell into {found.walk.pieces} pieces, more than max_clusters={max_clusters}, so the "
            f"eigengap can't choose among them: {more} (or raise max_clusters).",
        )
    if found.walk.pieces > 1:
        return Outcome(
            advice=f"The {graph} fell into {found.walk.pieces} pieces, which count as clusters first: {more} "
            f"if they shouldn't."
        )
    if n_clusters is None and np.diff(found.spectrum[:3])[0] > np.diff(found.spectrum)[1:].max(initial=0):
        return Outcome(
            advice=f"The spectrum's largest gap is after its first eigenvalue, as for rows in one piece; {found.asked} "
            f"clusters follow from the next one."
        )
    return Outcome()
