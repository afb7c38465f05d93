"""Distances that are given as such, in place of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float

PRECOMPUTED = "precomputed"
"""The metric of rows that are distances already, as scikit-learn calls it."""
_ROUNDING = 1e-4  # of the largest distance, by which one and its mirror image may differ


def require_distances(values: np.ndarray, name: str) -> Float[np.ndarray, "n n"]:
    """Return a matrix of distances in double precision, exactly symmetric.

    Raises
    ------
    DataError
        It is not square, has negative distances or a row that is away from itself, or isn't symmetric.
    """
    advice = (
        "Give the distances of all rows to all rows, or leave metric='precomputed' out if these are rows."
    )
    n = len(values)
    if values.shape != (n, n):
        raise DataError(
            f"{name} has the shape {values.shape}, and metric='precomputed' takes a square matrix of distances. Of a "
            "selection take both its rows and its columns, as in distances[np.ix_(rows, rows)]."
        )
    d = values.astype(np.float64)
    if (d < 0).any():
        i, j = map(int, np.argwhere(d < 0)[0])
        raise DataError(
            f"{name} has the distance {d[i, j]:.3g} between rows {i} and {j}: no distance is negative. {advice}"
        )
    if d.diagonal().any():
        i = int(np.flatnonzero(d.diagonal())[0])
        raise DataError(f"{name} has row {i} at {d[i, i]:.3g} from itself, which has to be 0. {advice}")
    gap = np.abs(d - d.T)
    if gap.max(initial=0) > _ROUNDING * d.max(initial=0):
        i, j = map(int, np.unravel_index(gap.argmax(), d.shape))
        raise DataError(
            f"{name} isn't symmetric: rows {i} and {j} are {d[i, j]:.4g} apart, and {d[j, i]:.4g} the other way. {advice}"
        )
    return (d + d.T) / 2


def classical_scaling(distances: Float[np.ndarray, "n n"], k: int) -> Float[np.ndarray, "n k"]:
    """Coordinates whose distances are as near to the given ones as ``k`` directions allow: principal components without rows.

    References
    ----------
    Torgerson 1952, Multidimensional scaling: I. Theory and method, Psychometrika 17.
    """
    from scipy.linalg import eigh

    squares = distances**2
    centred = -0.5 * (squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean())
    n = len(distances)
    values, vectors = eigh(centred, subset_by_index=[max(n - k, 0), n - 1])
    places = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    signs = np.sign(places[np.abs(places).argmax(axis=0), np.arange(places.shape[1])])
    return places * np.where(signs == 0, 1, signs)
