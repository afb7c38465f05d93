"""Mapper: a graph that shows how the clusters of overlapping slices of a cloud hang together."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import beside_lumps_of
from workbench.analyses.topology._giotto import giotto
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.distances import PRECOMPUTED, classical_scaling, require_distances
from workbench.numerics.near_origin import near_origin
from workbench.numerics.pairwise import pairwise
from workbench.numerics.sliced_clusters import sliced_clusters
from workbench.numerics.threads import one_thread
from workbench.results.graph import GraphResult
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Metric = Literal["euclidean", "precomputed"]
FLAT = 1e-12  # of all variance: directions with less are rounding
CORE_SHARE = 0.99  # of the rows are within the default eps of enough others
EPS_ROWS = 2000  # rows from which the default eps is read

_QUESTIONS = (
    (
        "outside_largest_piece",
        "Do more rows lie outside the graph's largest piece",
        "share of rows outside the largest piece",
    ),
    ("loops", "Has the graph more loops", "loops of the graph, triangles filled"),
    ("widest_loop", "Has the graph a wider loop", "widest loop of the graph, in steps across"),
)


class Recipe(NamedTuple):
    """Everything that makes a graph of rows; see `mapper` for what each is."""

    n_components: int
    kind: str
    n_intervals: int
    overlap_frac: float
    eps: float | None
    min_samples: int
    min_intersection: int
    metric: Metric


@analysis
def mapper(
    points: Points,
    *,
    metric: Annotated[
        Metric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    n_components: Annotated[
        int, Interval(ge=1, le=2), Doc("Principal components that the cover slices (the filter function).")
    ] = 2,
    kind: Annotated[
        Literal["uniform", "balanced"], Doc("Slices of equal length, or of equally many rows.")
    ] = "uniform",
    n_intervals: Annotated[int, Interval(ge=1, le=50), Doc("Slices along each component.")] = 10,
    overlap_frac: Annotated[
        float, Interval(gt=0, le=0.75), Doc("Share of a slice that it has in common with the next.")
    ] = 0.3,
    eps: Annotated[
        float | None,
        Interval(gt=0),
        Doc(
            "Greatest distance of neighbours in a cluster (DBSCAN). None: where 99 % of rows have min_samples in reach."
        ),
    ] = None,
    min_samples: Annotated[
        int,
        Interval(ge=1, le=1000),
        Doc("Rows, itself included, within eps of a row in the midst of a cluster (DBSCAN)."),
    ] = 3,
    min_intersection: Annotated[
        int, Interval(ge=1, le=1000), Doc("Rows that two clusters share where an edge joins them.")
    ] = 1,
    n_null: NullDraws = 39,
    random_state: Seed = 0,
) -> GraphResult:
    """Slice the cloud along principal components, cluster every slice, join clusters that share rows.

    Rows that DBSCAN calls noise belong to no node. The questions are whether more rows lie outside the
    graph's largest piece, and whether it has more loops (its first Betti number with triangles filled, since
    three slices may meet in one place) or a wider one, than for one lump, whatever its covariance, tails and margins, with
    rows of one text as alike as they are (see `persistence`). A loop is as wide as the number of steps at which its
    Vietoris-Rips class dies, about a third of the nodes around it; width tells a shape from the frayed edge of a cloud
    better than the number of loops does. Values and null are taken at up to 400 rows, whole texts and one of each token
    where the table says so, the graph itself from all. There are no intervals: of fewer rows the graph is another one.
    Of given distances (``metric="precomputed"``) the components are those of classical scaling, up to their signs the
    same where the distances are euclidean; they have no null.

    Returns
    -------
    GraphResult
        ``values`` are the nodes' means on the first component.

    Raises
    ------
    DataError
        Too few rows, rows that differ in fewer directions than ``n_components``, all rows noise, or what are given
        as distances are none.
    MissingError
        giotto-tda is not installed.

    References
    ----------
    Singh, Memoli and Carlsson 2007, Topological methods for the analysis of high dimensional data sets and 3D
    object recognition, Eurographics Symposium on Point-Based Graphics.
    """
    gtda = giotto("mapper")
    x = (
        require_distances(points.values, points.name)
        if metric == PRECOMPUTED
        else near_origin(points.values.astype(np.float64))
    )
    recipe = Recipe(n_components, kind, n_intervals, overlap_frac, eps, min_samples, min_intersection, metric)
    with one_thread():
        filtered = _filter(points, x, recipe)
        chosen = default_eps(x, min_samples, random_state, metric) if eps is None else eps
        labels = clusters(x, filtered, chosen, recipe, gtda)
    noise = sum(not nodes for nodes in labels)
    if noise == len(x):
        raise DataError(
            f"Every row of {points.name} is noise: none has min_samples={min_samples} rows within eps={chosen:.3g} in its "
            f"slice. Raise eps, lower min_samples, or take fewer intervals."
        )
    graph = gtda.Nerve(min_intersection=min_intersection).fit_transform(labels)
    members = graph.vs["node_elements"]
    centres = np.array([filtered[m].mean(axis=0) for m in members])
    result = GraphResult(
        positions=_layout(graph, centres, random_state),
        edges=np.array(graph.get_edgelist(), dtype=np.int64).reshape(-1, 2),
        member_ids=points.ids[np.concatenate(members)],
        member_starts=np.cumsum([0, *map(len, members)]),
        values=centres[:, 0],
        values_name="mean of PC1",
        caveat=f"Pieces of the graph of all rows: {len(graph.components()):,}; rows that are noise, in no node: {noise:,} of "
        f"{len(x):,}; clusters reach eps = {chosen:.3g}.",
    )
    show_early(result)
    return replace(result, evidence=_control(points, x, recipe, gtda, n_null, random_state))


def _filter(points: Points, x: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The rows on their first two principal components (or the one there is), or a refusal."""
    n, need = len(x), max(3, recipe.min_samples)
    if n < need:
        raise DataError(
            f"{points.name} has {n:,} rows; clusters around min_samples={recipe.min_samples} rows need at least {need}. "
            f"Lower min_samples or take more rows."
        )
    scores = components(x, recipe.metric)
    if scores.shape[1] < recipe.n_components:
        raise DataError(
            f"The rows of {points.name} differ in {scores.shape[1]} directions (all equal, or all on one line), "
            f"fewer than n_components={recipe.n_components} to slice along."
        )
    return scores


def components(x: Float[np.ndarray, "n d"], metric: Metric = "euclidean") -> Float[np.ndarray, "n k"]:
    """Scores on the two leading principal components, fewer where the rows differ in fewer directions."""
    from sklearn.decomposition import PCA

    if metric == PRECOMPUTED:
        scores = classical_scaling(x, 2)
        variances = (scores**2).mean(axis=0)
        return scores[
            :, variances > FLAT * (x**2).mean() / 2
        ]  # the total: half the mean square of all distances
    n, d = x.shape
    total = np.var(x - x.mean(axis=0), axis=0).sum()
    if total <= (1e-12 * np.abs(x).max()) ** 2:
        return np.empty((n, 0))
    solver = "arpack" if min(n, d) > 50 else "covariance_eigh" if d < n else "full"  # two of many is quick
    pca = PCA(n_components=min(2, n, d), svd_solver=solver, random_state=0)
    scores = pca.fit_transform(x)
    return scores[:, pca.explained_variance_ > FLAT * total]


def default_eps(
    x: Float[np.ndarray, "n d"], min_samples: int, random_state: int, metric: Metric = "euclidean"
) -> float:
    """The distance within which 99 % of the rows have ``min_samples`` rows, themselves included."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng([random_state, 0x657073])
    asked = x if len(x) <= EPS_ROWS else x[rng.choice(len(x), EPS_ROWS, replace=False)]
    k = min(max(min_samples, 2), len(x))
    reach = NearestNeighbors(n_neighbors=k, metric=metric).fit(x).kneighbors(asked)[0][:, -1]
    return _reach(reach)


def core_reach(distances: Float[np.ndarray, "n n"], min_samples: int) -> float:
    """`default_eps` of a few hundred rows by their distances."""
    k = min(max(min_samples, 2), len(distances))
    return _reach(np.partition(distances, k - 1, axis=1)[:, k - 1])


def _reach(reach: Float[np.ndarray, " n"]) -> float:
    return float(max(np.quantile(reach, CORE_SHARE), np.finfo(np.float64).tiny))


def _cover(recipe: Recipe, gtda: Any) -> Any:
    return gtda.CubicalCover(
        kind=recipe.kind, n_intervals=recipe.n_intervals, overlap_frac=recipe.overlap_frac
    )


def clusters(
    x: np.ndarray, scores: np.ndarray, eps: float, recipe: Recipe, gtda: Any
) -> list[tuple[tuple[int, int], ...]]:
    """For every row its nodes, each as (slice, cluster in it); none for noise."""
    import sklearn
    from sklearn.cluster import DBSCAN

    cover = _cover(recipe, gtda)
    clusterer = gtda.ParallelClustering(
        DBSCAN(eps=eps, min_samples=recipe.min_samples, metric=recipe.metric), n_jobs=1
    )
    # slices are small and many: checking each one's input takes as long as clustering it
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        labels = clusterer.fit_predict([x, cover.fit_transform(scores[:, : recipe.n_components])])
    return [tuple(node for node in nodes if node[1] >= 0) for nodes in labels]


def shape(
    rows: Int[np.ndarray, " e"], nodes: Int[np.ndarray, " e"], min_intersection: int
) -> Float[np.ndarray, " 3"]:
    """Of the graph that joins nodes with enough rows in common: share of rows outside its largest piece, loops,
    and widest loop. Noise is in no piece and doesn't count.

    Parameters
    ----------
    rows, nodes : an entry for each row of each node, nodes numbered from 0.
    """
    from gph import ripser_parallel
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components, shortest_path

    if not len(rows):
        return np.zeros(3)
    member = csr_array((np.ones(len(rows)), (rows, nodes)))
    joined = csr_array((member.T @ member).toarray() >= min_intersection)
    piece = connected_components(joined, directed=False)[1][nodes]
    inside = np.bincount(np.unique(np.stack([piece, rows]), axis=1)[0])
    steps = shortest_path(joined, unweighted=True)
    far = 4.0 * len(steps)  # beyond any number of steps
    finite = np.where(np.isfinite(steps), steps, far)
    loops = ripser_parallel(finite, metric="precomputed", maxdim=1, thresh=far / 2)["dgms"][1]
    outside = 1 - int(inside.max()) / len(np.unique(rows))
    return np.array([outside, len(loops), loops[:, 1].max(initial=0)])


def _control(
    points: Points, x: np.ndarray, recipe: Recipe, gtda: Any, n_null: int, random_state: int
) -> tuple[Evidence, ...]:
    def statistic(rows: np.ndarray) -> np.ndarray:
        scores = components(rows, recipe.metric)
        if scores.shape[1] < recipe.n_components:
            return np.zeros(3)
        distances = pairwise(rows, recipe.metric)
        eps = recipe.eps or core_reach(distances, recipe.min_samples)
        slices = _cover(recipe, gtda).fit_transform(scores[:, : recipe.n_components])
        found = sliced_clusters(distances <= eps, slices, recipe.min_samples)
        return shape(*found, recipe.min_intersection)

    tested, _ = beside_lumps_of(
        points, x, recipe.metric, statistic, len(_QUESTIONS), n_null, random_state, "mapper"
    )
    return tuple(
        Evidence(
            id=id,
            question=f"{question} than for one lump like the rows?",
            label=label,
            value=tested.values[i],
            n=len(tested.sample.at),
            **tested.said[i],
        )
        for i, (id, question, label) in enumerate(_QUESTIONS)
    )


def _layout(graph: Any, centres: np.ndarray, random_state: int) -> Float[np.ndarray, "n 2"]:
    """Positions by springs that start from the nodes' mean scores, so that the picture lies as the cloud does."""
    import igraph
    from scipy.linalg import orthogonal_procrustes

    start = np.zeros((len(centres), 2))
    start[:, : centres.shape[1]] = centres - centres.mean(axis=0)
    start *= np.sqrt(len(start)) / max(np.abs(start).max(), np.finfo(float).tiny)
    start += 1e-3 * np.random.default_rng(random_state).standard_normal(start.shape)  # no two in one place
    igraph.set_random_number_generator(random.Random(random_state))
    try:
        springs = graph.layout_fruchterman_reingold(seed=start.tolist(), niter=200, start_temp=0.3)
    finally:
        igraph.set_random_number_generator(random)  # what igraph starts with
    placed = np.array(springs.coords, dtype=np.float64).reshape(-1, 2)
    placed -= placed.mean(axis=0)
    return placed @ orthogonal_procrustes(placed, start)[0]  # igraph turns a layout to its own axes
