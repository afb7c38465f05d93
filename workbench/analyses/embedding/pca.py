"""Principal components: the directions of largest variance, and how many are more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Embedding
from workbench.core.views import Points
from workbench.numerics.resampling import bootstrap_interval, null_draws, shuffle_columns

if TYPE_CHECKING:
    from sklearn.decomposition import PCA


def estimator(n_components: int, whiten: bool, svd_solver: str, random_state: int) -> PCA:
    """Return scikit-learn's estimator."""
    from sklearn.decomposition import PCA

    return PCA(n_components=n_components, whiten=whiten, svd_solver=svd_solver, random_state=random_state)


@analysis(estimator=estimator)
def pca(
    points: Points, *,
    n_components: Annotated[int, Interval(ge=1, le=1000), Doc("Components to keep.")] = 2,
    whiten: Annotated[bool, Doc("Scale every component to unit variance.")] = False,
    svd_solver: Annotated[Literal["auto", "full", "randomized"], Doc("How the decomposition is computed.")] = "auto",
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
) -> Embedding:  # fmt: skip
    """Project rows on their directions of largest variance.

    The statistic is the share of variance that the kept components explain. Its null shuffles every
    column on its own, which keeps each column's variance and destroys what they share (Horn's parallel
    analysis); its interval resamples rows.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; each component's sign makes its largest loading positive.

    Raises
    ------
    DataError
        Fewer rows or columns than components, or all rows equal.

    References
    ----------
    Horn 1965, A rationale and test for the number of factors in factor analysis, Psychometrika 30.
    """
    x = points.values
    n, d = x.shape
    if n_components > min(n, d):
        raise DataError(
            f"{points.name} has {n:,} rows of {d:,} numbers: at most {min(n, d)} components exist, "
            f"n_components={n_components} were asked for."
        )
    if not np.ptp(x, axis=0).any():
        raise DataError(f"All {n:,} rows of {points.name} are equal: there is no direction of variance.")
    fitted = estimator(n_components, whiten, svd_solver, random_state)
    values = fitted.fit_transform(x)
    signs = np.sign(np.take_along_axis(fitted.components_, np.abs(fitted.components_).argmax(1)[:, None], 1))[:, 0]
    shares = fitted.explained_variance_ratio_
    evidence = Evidence(
        question=f"Do {n_components} components explain more variance than columns that share nothing?",
        statistic=f"variance explained by {n_components} components",
        value=shares.sum(),
        n=n,
        interval=bootstrap_interval(lambda i: explained(x[i], n_components), n, n_boot, random_state),
        interval_method="bootstrap over rows",
        null="columns shuffled",
        null_values=tuple(
            null_draws(lambda rng: explained(shuffle_columns(x, rng), n_components), n_null, random_state, "pca: null")
        ),
    )
    return Embedding(
        values=(values * signs).astype(np.float32),
        ids=points.ids,
        axes=tuple(f"PC{i + 1} ({s:.1%})" for i, s in enumerate(shares)),
        evidence=(evidence,),
    )


def explained(x: np.ndarray, k: int) -> float:
    """Share of the total variance along the ``k`` leading directions."""
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred if x.shape[0] >= x.shape[1] else centred @ centred.T
    return float(np.linalg.eigvalsh(gram)[-k:].sum() / max(np.trace(gram), np.finfo(float).tiny))
