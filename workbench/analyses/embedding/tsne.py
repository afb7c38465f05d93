"""t-SNE: a layout in which every row has the neighbours, by probability, that it has in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import LAYOUTS, lay_out, moved, require_rows
from workbench.core.errors import DataError
from workbench.core.evidence import Outcome
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.distances import PRECOMPUTED, classical_scaling
from workbench.numerics.neighbours import AnyMetric
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from sklearn.manifold import TSNE

START = 1e-4  # standard deviation of the first axis that scikit-learn's t-SNE starts from


def estimator(
    n_components: int,
    perplexity: float,
    early_exaggeration: float,
    learning_rate: float | None,
    max_iter: int,
    metric: str,
    init: str,
    random_state: int,
) -> TSNE:
    """Return scikit-learn's estimator."""
    from sklearn.manifold import TSNE

    rate: Any = "auto" if learning_rate is None else learning_rate
    return TSNE(
        n_components=n_components,
        perplexity=perplexity,
        early_exaggeration=early_exaggeration,
        learning_rate=rate,
        max_iter=max_iter,
        metric=metric,
        init=init,
        random_state=random_state,
    )


@analysis(estimator=estimator, title="t-SNE")
def tsne(
    points: Points,
    *,
    n_components: Annotated[int, Interval(ge=1, le=3), Doc("Dimensions of the layout.")] = 2,
    perplexity: Annotated[
        float, Interval(ge=1, le=1000), Doc("Effective number of neighbours of a row.")
    ] = 30.0,
    early_exaggeration: Annotated[
        float, Interval(ge=1, le=100), Doc("How much stronger rows attract in the first 250 steps.")
    ] = 12.0,
    learning_rate: Annotated[
        Annotated[float, Interval(ge=1, le=10_000)] | None,
        Doc("Step size; None: n / early_exaggeration / 4, at least 50 (scikit-learn's 'auto')."),
    ] = None,
    max_iter: Annotated[int, Interval(ge=250, le=5000), Few(250), Doc("Most steps.")] = 1000,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    init: Annotated[Literal["pca", "random"], Doc("Where rows start.")] = "pca",
    n_null: NullDraws = LAYOUTS,
    random_state: Seed = 0,
) -> Embedding:
    """Lay rows out so that each keeps its neighbours (t-distributed stochastic neighbour embedding).

    Sizes of clumps and distances between them mean little. The control is trustworthiness (by chance about a
    half), and how far it exceeds that of the same method's layouts of one lump of the same covariance, margins and tails
    (at most about 200 rows, in whole texts, one of each token, where the table says so).
    It is computed with one thread: with several, the rounding of their sums would make another layout of the same seed.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``perplexity``, or all rows equal; ``init="pca"`` with fewer columns than components.

    References
    ----------
    van der Maaten and Hinton 2008, Visualizing data using t-SNE, J. Mach. Learn. Res. 9.
    """
    points = moved(points, metric)
    require_rows(points, ("perplexity", perplexity, int(perplexity) + 1), metric=metric)
    d = points.values.shape[1]
    if init == "pca" and n_components > d:
        raise DataError(
            f"{points.name} has {d:,} columns: init='pca' can start at most {d} components. Use init='random'."
        )
    model = estimator(
        n_components, perplexity, early_exaggeration, learning_rate, max_iter, metric, init, random_state
    )
    return lay_out(
        points,
        lambda x: _fit(model, x),
        axis="t-SNE",
        metric=metric,
        n_null=n_null,
        least_rows=2 * int(perplexity) + 2,
        random_state=random_state,
    )


def _fit(model: Any, x: np.ndarray) -> tuple[np.ndarray, Outcome]:
    from sklearn.base import clone
    from threadpoolctl import threadpool_limits

    fitted: Any = clone(model)
    if fitted.metric == PRECOMPUTED and fitted.init == "pca":  # which scikit-learn has of rows only
        places = classical_scaling(x, fitted.n_components)
        fitted.set_params(init=(places / max(places[:, 0].std(), 1e-300) * START).astype(np.float32))
    # How the gradient's sum is rounded depends on the number of threads, and 1,000 steps make another layout of it:
    # a seed gives the same answer everywhere only with one.
    with threadpool_limits(1, user_api="openmp"):
        layout = fitted.fit_transform(x).astype(np.float32)
    if fitted.n_iter_ < fitted.max_iter - 1:
        return layout, Outcome()
    return layout, Outcome(
        "stopped",
        f"t-SNE still moved when it stopped at max_iter={fitted.max_iter}: raise max_iter to see where it rests.",
    )
