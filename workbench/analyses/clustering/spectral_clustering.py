"""Spectral clustering: groups that a random walk on the neighbour graph seldom leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.clustering._clusters import (
    Found,
    Recipe,
    cluster,
    least_cut,
    least_cut_of,
    silhouettes,
    statistics,
)
from workbench.analyses.clustering._naming import typical_tokens
from workbench.core.device import resolve
from workbench.core.early import show_early
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
from workbench.numerics.resampling import NORMAL, subsample_draws
from workbench.results.partition import Partition
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float
    from sklearn.cluster import SpectralClustering

CONTROL_ROWS = 300
ALTERNATIVES: tuple[Alternative, ...] = ("less", "less", "greater")
LEAST_CUT = 0  # which of the statistics
SUBSAMPLES = 20  # clusterings of half of the control's rows, at most
STABLE = (
    0.75  # adjusted Rand index from which clusters are taken for the same ones (Steinley 2004: good from 0.8)
)
LEVEL = 0.05  # share of one lump's graphs that fall apart as easily, beyond which there is one cluster


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
        Doc("Clusters; None: as many as the spectrum says, and one where the rows are like one lump."),
    ] = None,
    max_clusters: Annotated[
        int, Interval(ge=2, le=100), Doc("Most clusters that the spectrum may choose.")
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

    Asked for a number of clusters it always finds them. The control says whether there are any, whatever their number:
    the least normalized cut per cluster that any split in two could have (half the graph's second eigenvalue: Ky Fan), on
    at most 300 rows, one of each token and whole texts where the table says so, against that of one lump of the same
    covariance, margins and tails. Where one lump's graph falls apart as easily, and ``n_clusters`` is None, all rows are
    one cluster. Else there are as many as the eigenvalues that rise slowly, and how stable they are is said by
    clustering halves of the rows again (adjusted Rand index, 1: the same clusters): a wrong number seldom is. How seldom
    the walk leaves the clusters (normalized cut per cluster, 0 for never) and how much nearer a row
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
    Marron 2008, Statistical significance of clustering, J. Am. Stat. Assoc. 103; von Luxburg 2010, Clustering
    stability: an overview, Found. Trends Mach. Learn. 2; Rousseeuw 1987, Silhouettes, J. Comput. Appl. Math. 20.
    """
    recipe = Recipe(n_clusters, max_clusters, n_neighbors, affinity, random_state)
    _check(points, recipe)
    x = points.values
    if affinity == "precomputed":
        x = require_affinities(x, points.name)
    elif affinity == "precomputed_nearest_neighbors":
        x = require_distances(x, points.name, f"affinity={affinity!r}")
    found = cluster(x, recipe, resolve(device))
    told = (NO_SILHOUETTE, like_distances(points.values, points.name)) if affinity == PRECOMPUTED else ()
    result = Partition(
        labels=found.labels,
        ids=points.ids,
        names=_names(points, found.labels),
        spectrum=found.spectrum,
        outcome=_outcome(found, recipe),
        caveat=" ".join(filter(None, told)),
    )
    show_early(
        replace(result, caveat=f"{result.caveat} {MAY_BE_ONE}".strip()) if n_clusters is None else result
    )
    ask = _Asked(points, x, recipe)
    own = silhouettes(x, found.labels, recipe)
    tested = ask.beside_lumps(n_null)
    one_lump = n_clusters is None and like_one_lump(tested)
    again = ask.again(tested, found, one_lump, min(n_boot, SUBSAMPLES))
    folded = n_clusters is None and not one_lump and again.unstable and own.mean() < 0
    if one_lump or folded:
        labels = np.zeros(points.n, np.int64)
        return replace(
            result,
            labels=labels,
            names=_names(points, labels),
            evidence=(ask.least_cut(tested, again, found),),
            outcome=Outcome(advice=ONE_LUMP if one_lump else FOLDED.format(k=found.asked)),
        )
    return replace(result, evidence=ask.evidence(tested, again, found, own))


def _names(points: Points, labels: np.ndarray) -> tuple[str, ...]:
    return typical_tokens(points.column("token"), labels) if "token" in points.table.columns else ()


ONE_LUMP = (
    "The graph falls apart no more easily than that of one lump like the rows: they are one cluster. Give n_clusters to "
    "split them all the same."
)
MAY_BE_ONE = (
    "Whether the rows are one lump is still being asked: if they are, all of them are one cluster in the end."
)
FOLDED = (
    "{k} clusters were found, but half of the rows give others, and rows are nearer to another cluster than to their own: "
    "they are left as one. Give n_clusters to split them all the same."
)


def _check(points: Points, recipe: Recipe) -> None:
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
    if not (x != x[0]).any():
        raise DataError(
            f"All {n:,} rows of {points.name} are equal: there is nothing to tell apart. Give rows that differ."
        )
    distinct = points.distinct
    if distinct < (n_clusters or 2):
        raise DataError(
            f"{points.name} has {distinct:,} different rows: n_clusters={n_clusters} can't tell more apart. Lower n_clusters."
        )


def like_one_lump(tested: Tested) -> bool:
    """Whether more than 5 % of the draws of one lump have a least cut as small; not where none were drawn."""
    draws = tested.drawn[0].values
    return bool(len(draws) and (draws <= tested.values[0]).mean() > LEVEL)


class _Again(NamedTuple):
    """Halves of the control's rows, clustered again.

    Attributes
    ----------
    drawn : (draws, s) of each the least cut, and where there are clusters the cut, the silhouette and the agreement.
    factor : from their standard deviation to the standard error of the control's rows' statistics.
    units : how many rows or groups the control has.
    """

    drawn: Float[np.ndarray, "draws s"]
    factor: float
    units: int

    @property
    def stability(self) -> float | None:
        """Mean adjusted Rand index of the clusters of halves and of all; None where there are none."""
        return float(self.drawn[:, 3].mean()) if self.drawn.shape[1] == 4 else None

    @property
    def unstable(self) -> bool:
        return self.stability is not None and self.stability < STABLE

    def interval(self, s: int, value: float, units: int, least: float = 0.0) -> tuple[float, float] | None:
        """Normal interval around the value of so many rows or groups.

        The least cut is larger of half the rows, and varies in proportion, so that its own is made on the scale of logarithms.
        """
        if not self.drawn.shape[1] > s:
            return None
        wider = NORMAL * self.factor * np.sqrt(self.units / max(units, 1))
        drawn = self.drawn[:, s]
        if s == LEAST_CUT and value > 0 and drawn.min() > 0:
            half = float(np.exp(wider * np.log(drawn).std(ddof=1)))
            return value / half, value * half
        half = wider * drawn.std(ddof=1)
        return max(float(value - half), least), float(value + half)


class _Asked(NamedTuple):
    """What was asked, and its evidence. ``x`` are rows, distances or affinities."""

    points: Points
    x: np.ndarray
    recipe: Recipe

    @property
    def parts(self) -> int:
        return self.recipe.n_clusters or 2

    def beside_lumps(self, n_null: int) -> Tested:
        """The least cut, and for a given number of clusters the cut made and the silhouette, beside those of lumps."""

        def own(rows: np.ndarray) -> np.ndarray:
            if (
                self.recipe.n_clusters is None
            ):  # cuts and silhouettes of different numbers of clusters don't compare
                return np.array([least_cut_of(rows, self.recipe)])
            # so few rows are the CPU's, draws and values alike: its k-means and the GPU's choose labels otherwise
            return statistics(rows, cluster(rows, self.recipe, "cpu"), self.recipe)

        few = max(CONTROL_ROWS, 2 * self.recipe.n_neighbors, 2 * self.parts)
        if self.recipe.untested:
            return _untested(self.points, self.x, own, self.recipe, few)
        return beside_lumps(
            self.points,
            self.x,
            own,
            ALTERNATIVES[: 3 if self.recipe.n_clusters else 1],
            rows=few,
            n_null=n_null,
            random_state=self.recipe.random_state,
            what="spectral_clustering",
            least=self.recipe.least + 1,
        )

    def again(self, tested: Tested, found: Found, one_lump: bool, draws: int) -> _Again:
        """Cluster halves of the control's rows, whole groups, in as many clusters as were found."""
        from sklearn.metrics import adjusted_rand_score

        affinity = self.recipe.affinity
        some, own = among(self.x, tested.sample.at, affinity), found.labels[tested.sample.at]
        same = self.recipe._replace(n_clusters=found.asked, max_clusters=found.asked)

        def drawn(i: np.ndarray) -> np.ndarray:
            rows = among(some, i, affinity)
            if one_lump:
                return np.array([least_cut_of(rows, self.recipe)])
            half = cluster(rows, same, "cpu")
            values = statistics(rows, half, self.recipe)
            return np.append(values, adjusted_rand_score(own[i], half.labels))

        size, units = len(tested.sample.at), tested.sample.units
        sizes = np.ones(size, np.int64) if tested.sample.groups is None else np.bincount(tested.sample.groups)
        if np.sort(sizes)[: units // 2].sum() <= max(self.recipe.least, found.asked) + 2:
            draws = 0  # a half may be too few rows for a graph
        return _Again(
            *subsample_draws(drawn, size, draws, self.recipe.random_state, groups=tested.sample.groups), units
        )

    def least_cut(self, tested: Tested, again: _Again, found: Found) -> Evidence:
        told = bool(np.isfinite(tested.values[0]))  # else too few rows of the control's are different
        value = float(tested.values[0]) if told else least_cut(found.spectrum, self.parts)
        interval = again.interval(0, value, again.units) if told else None
        return Evidence(
            question="Does the graph fall apart more easily than that of one lump like the rows?",
            id="least_cut",
            label=f"least possible cut into {self.parts} clusters",
            value=value,
            n=len(tested.sample.at) if told else self.points.n,
            interval=interval,
            interval_method=self.method if interval else "",
            **tested.said[0],
        )

    @property
    def method(self) -> str:
        return f"halves of the {self.points.unit}, clustered again"

    def evidence(self, tested: Tested, again: _Again, found: Found, own: np.ndarray) -> tuple[Evidence, ...]:
        """The least cut that the graph allows, whether the clusters come again, the cut that was made, the silhouette."""
        values = statistics(self.x, found, self.recipe, own)
        n, k = self.points.n, int(found.labels.max()) + 1
        groups = self.points.groups
        units = n if groups is None else int(groups.max()) + 1
        chosen = NULL.refused(
            self.recipe.untested or "it depends on how many clusters were chosen: give n_clusters to test it"
        )
        words = {
            "cut_per_cluster": (
                f"Does a walk leave the {k} clusters less often than those of one lump like the rows?",
                "normalized cut per cluster",
            ),
            "silhouette": (
                f"Are the {k} clusters better apart than those of one lump like the rows?",
                "silhouette",
            ),
        }
        if self.recipe.affinity == PRECOMPUTED:
            del words["silhouette"]
        made = []
        for s, (name, (question, label)) in enumerate(words.items(), 1):
            count = n if s == 1 else len(own)
            if self.recipe.n_clusters:
                said = tested.against(values, count, s)
            else:
                said = {"value": values[s], "n": count, **chosen, "alternative": ALTERNATIVES[s]}
            interval = again.interval(
                s, said["value"], again.units if tested.sample.thinned else units, (0.0, -1.0)[s - 1]
            )
            method = self.method if interval else ""
            made.append(
                Evidence(
                    question=question, id=name, label=label, interval=interval, interval_method=method, **said
                )
            )
        stable = [] if again.stability is None else [self.stability(tested, again.stability, k)]
        return (self.least_cut(tested, again, found), *stable, *made)

    def stability(self, tested: Tested, value: float, k: int) -> Evidence:
        return Evidence(
            question=f"Does half of the {self.points.unit} give the same {k} clusters?",
            id="stability",
            label=f"stability of {k} clusters (adjusted Rand index of those of half of the {self.points.unit})",
            value=value,
            n=len(tested.sample.at),
            groups=tested.said[0]["groups"],
            untested="one long lump is split the same way every time too: whether there are clusters is the least cut's question",
        )


def _untested(
    points: Points,
    x: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    recipe: Recipe,
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


def _outcome(found: Found, recipe: Recipe) -> Outcome:
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
            f"spectrum can't choose among them: {more} (or raise max_clusters).",
        )
    if found.walk.pieces > 1:
        return Outcome(
            advice=f"The {graph} fell into {found.walk.pieces} pieces, which count as clusters first: {more} "
            f"if they shouldn't."
        )
    return Outcome()
