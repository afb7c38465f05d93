"""Principal components: the directions of largest variance, and how many are more than chance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import require_spread
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.one_lump import Tested
from workbench.evidence.nulls.same_scales import beside_turned_signs
from workbench.numerics.resampling import subsample_interval
from workbench.numerics.threads import cores
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

CONTROL_ROWS = 1000
REFITS = 50  # decompositions behind the interval, at most
DECIMALS = 6  # of a share that rows in single precision have
FEW_CORES = 4
MANY = 64  # directions, from which on draws are decomposed in single precision


def estimator(n_components: int, whiten: bool, svd_solver: str, random_state: int) -> PCA:
    """Return scikit-learn's estimator."""
    from sklearn.decomposition import PCA

    return PCA(n_components=n_components, whiten=whiten, svd_solver=svd_solver, random_state=random_state)


@analysis(estimator=estimator, title="Principal components")
def pca(
    points: Points,
    *,
    n_components: Annotated[int, Interval(ge=1, le=1000), Doc("Components to keep.")] = 2,
    whiten: Annotated[bool, Doc("Scale every component to unit variance.")] = False,
    svd_solver: Annotated[
        Literal["auto", "full", "randomized"], Doc("How the decomposition is computed.")
    ] = "auto",
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
) -> Embedding:
    """Project rows on their directions of largest variance.

    The statistic is the share of variance that the kept components explain. Its null turns the signs of each
    column at random, of a whole text at once where rows are of texts, which keeps all scales and destroys what columns
    share (signed parallel analysis). Its interval is from halves of the rows, or of whole texts, with directions of
    their own.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; each component's sign makes its largest loading positive.
        ``quality`` is the share of a row's squared distance from the mean that the components keep.

    Raises
    ------
    DataError
        Fewer rows or columns than components, or all rows equal.

    References
    ----------
    Horn 1965, A rationale and test for the number of factors in factor analysis, Psychometrika 30; Hong, Sheng and
    Dobriban 2020, Selecting the number of components in PCA via random signflips, arXiv:2012.02985.
    """
    from sklearn import config_context

    x = points.values
    n, d = x.shape
    if n_components > min(n, d):
        raise DataError(
            f"{points.name} has {n:,} rows of {d:,} numbers: at most {min(n, d)} components exist, "
            f"n_components={n_components} were asked for."
        )
    require_spread(points)
    fitted: Any = estimator(n_components, whiten, svd_solver, random_state)
    with config_context(assume_finite=True):  # a view's rows are
        fitted.fit(x)
    loadings = fitted.components_
    signs = np.sign(loadings[np.arange(n_components), np.abs(loadings).argmax(axis=1)])
    shares = fitted.explained_variance_ratio_
    values, whole = projected(x, fitted.mean_, loadings)
    kept = np.einsum("ij,ij->i", values, values)
    spread = np.sqrt(fitted.explained_variance_)
    values *= signs / (np.maximum(spread, np.finfo(spread.dtype).eps) if whiten else 1)
    result = Embedding(
        values=values.astype(np.float32),
        ids=points.ids,
        quality=np.divide(kept, whole, out=np.ones(n), where=whole > 0).clip(0, 1).astype(np.float32),
        quality_name="share of the row kept",
        axes=tuple(f"PC{i + 1} ({s:.1%})" for i, s in enumerate(shares)),
    )
    show_early(result)
    value = round(min(1.0, float(shares.sum(dtype=np.float64))), DECIMALS)
    tested = beside_turned_signs(
        points,
        x,
        lambda rows: np.array([explained(rows, n_components)]),
        ("greater",),
        rows=CONTROL_ROWS,
        n_null=n_null,
        random_state=random_state,
        what="pca",
    )
    evidence = Evidence(
        question=f"Do {n_components} components explain more variance than columns that share nothing?",
        id="variance_explained",
        label=f"variance explained by {n_components} components",
        interval=_interval(points, tested, value, n_components, n_boot, random_state),
        interval_method=f"subsamples of half of the {points.unit}, directions fitted anew",
        **tested.against(np.array([value]), n, 0),
    )
    return replace(result, evidence=(evidence,))


def _interval(
    points: Points, tested: Tested, value: float, k: int, n_boot: int, random_state: int
) -> tuple[float, float] | None:
    """Interval (95 %) of the share, by half-subsamples of the control's rows, as wide as all groups make it."""
    some = tested.sample
    own = points.values[some.at].astype(np.float64)
    found = subsample_interval(
        lambda i: explained(own[i], k), 0.0, len(own), min(n_boot, REFITS), random_state, groups=some.groups
    )
    if found is None:
        return None
    all_groups = points.n if points.groups is None else int(points.groups.max()) + 1
    half = found[1] * (1.0 if some.thinned else np.sqrt(some.units / max(some.units, all_groups)))
    middle = tested.values[0] if some.thinned else value
    return max(0.0, middle - half), min(1.0, middle + half)


def projected(x: np.ndarray, mean: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row less ``mean`` on the components, and its squared length; by rows that stay in the processor's cache."""
    values, whole = np.empty((len(x), len(components))), np.empty(len(x))
    room = np.empty((512, x.shape[1]), np.result_type(x, mean))
    for i in range(0, len(x), 512):
        rows = np.subtract(x[i : i + 512], mean, out=room[: len(x) - i])
        values[i : i + 512] = rows @ components.T
        whole[i : i + 512] = np.einsum("ij,ij->i", rows, rows)
    return values, whole


def explained(x: np.ndarray, k: int) -> float:
    """Share of the total variance along the ``k`` leading directions, to six decimals so that ties tie.

    In many directions shares don't tie, and single precision halves the time; what it errs by is below the decimals.
    """
    from scipy.linalg import eigh

    centred = x - x.mean(axis=0, dtype=np.float64)
    if min(x.shape) > MANY:
        centred = (centred / max(np.abs(centred).max(), np.finfo(np.float64).tiny)).astype(np.float32)
    gram = centred.T @ centred if x.shape[0] >= x.shape[1] else centred @ centred.T
    size = len(gram)
    if cores() > FEW_CORES:  # all of them take twice as long, but other threads may work meanwhile
        leading = np.linalg.eigvalsh(gram)[-k:]
    else:
        leading = eigh(gram, eigvals_only=True, subset_by_index=[size - k, size - 1])
    return round(min(1.0, float(leading.sum(dtype=np.float64) / np.trace(gram, dtype=np.float64))), DECIMALS)
