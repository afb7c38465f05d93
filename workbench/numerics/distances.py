"""Distances and affinities that are given as such, in place of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float

PRECOMPUTED: Final = "precomputed"
"""The metric of rows that are distances already, as scikit-learn calls it."""
NO_ROWS = "of distances without rows no lump can be drawn"
"""Why given distances have no null of one lump."""
Affinity = Literal["nearest_neighbors", "precomputed", "precomputed_nearest_neighbors"]
"""What a graph is made of, as scikit-learn calls it: rows, affinities, or distances."""
_ROUNDING = 1e-4  # of the largest number, by which one and its mirror image may differ


def require_distances(
    values: np.ndarray, name: str, asked: str = "metric='precomputed'"
) -> Float[np.ndarray, "n n"]:
    """Return a matrix of distances in double precision, exactly symmetric.

    Parameters
    ----------
    asked : the parameter that says they are distances, for messages.

    Raises
    ------
    DataError
        It is not square, has negative distances or a row that is away from itself, or isn't symmetric.
    """
    advice = f"Give the distances of all rows to all rows, or leave {asked} out if these are rows."
    d = _square_and_not_negative(values, name, "distance", asked, advice)
    if d.diagonal().any():
        i = int(np.flatnonzero(d.diagonal())[0])
        raise DataError(f"{name} has row {i} at {d[i, i]:.3g} from itself, which has to be 0. {advice}")
    return _symmetric(d, name, "distance", advice)


def require_affinities(values: np.ndarray, name: str) -> Float[np.ndarray, "n n"]:
    """Return a matrix of affinities in double precision, exactly symmetric, with zeros on the diagonal.

    What a row has in common with itself leads a walk nowhere, so the diagonal isn't read.

    Raises
    ------
    DataError
        It is not square, has negative affinities, isn't symmetric, or no row has an affinity to another.
    """
    advice = (
        "Give the affinities of all rows to all rows, or leave affinity='precomputed' out if these are rows."
    )
    a = _square_and_not_negative(values, name, "affinity", "affinity='precomputed'", advice)
    a = _symmetric(a, name, "affinity", advice)
    np.fill_diagonal(a, 0)
    if not a.any():
        raise DataError(f"{name} has no affinity above 0 between two rows: there is no graph. {advice}")
    return a


def like_distances(affinities: np.ndarray, name: str) -> str:
    """What is to be said of affinities that may be distances: nothing, or a sentence."""
    others = ~np.eye(len(affinities), dtype=bool)
    if affinities.diagonal().any() or not (affinities[others] > 0).all():
        return ""
    return (
        f"{name} looks like a matrix of distances (zeros on the diagonal alone) and was taken for affinities, of which "
        f"more is nearer: distances are for affinity='precomputed_nearest_neighbors'."
    )


def as_distances(affinities: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Distances in the same order: the greater the affinity, the nearer.

    None is more than twice another, so the triangle inequality holds, and no two rows are at 0.
    """
    d = 2 * affinities.max() - affinities
    np.fill_diagonal(d, 0)
    return d


def _square_and_not_negative(
    values: np.ndarray, name: str, what: str, asked: str, advice: str
) -> Float[np.ndarray, "n n"]:
    n = len(values)
    if values.shape != (n, n):
        several = "affinities" if what == "affinity" else "distances"
        raise DataError(
            f"{name} has the shape {values.shape}, and {asked} takes a square matrix of {several}. Of a selection take "
            f"both its rows and its columns, as in {several}[np.ix_(rows, rows)]."
        )
    d = values.astype(np.float64)
    if (d < 0).any():
        i, j = map(int, np.argwhere(d < 0)[0])
        raise DataError(
            f"{name} has the {what} {d[i, j]:.3g} between rows {i} and {j}: no {what} is negative. {advice}"
        )
    return d


def _symmetric(d: np.ndarray, name: str, what: str, advice: str) -> Float[np.ndarray, "n n"]:
    gap = np.abs(d - d.T)
    if gap.max(initial=0) > _ROUNDING * d.max(initial=0):
        i, j = map(int, np.unravel_index(gap.argmax(), d.shape))
        raise DataError(
            f"{name} isn't symmetric: rows {i} and {j} have the {what} {d[i, j]:.4g}, and {d[j, i]:.4g} the other way. "
            f"{advice}"
        )
    return (d + d.T) / 2


def among(rows: np.ndarray, at: np.ndarray, metric: str) -> np.ndarray:
    """Some of the rows; of a matrix of distances or affinities (``metric`` "precomputed...") what is between them."""
    return rows[np.ix_(at, at)] if metric.startswith(PRECOMPUTED) else rows[at]


def from_centre(distances: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """Every row's distance from the rows' mean, which euclidean distances imply; 0 where others would imply less."""
    squares = distances**2
    return np.sqrt(np.maximum(squares.mean(axis=1) - squares.mean() / 2, 0))


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
