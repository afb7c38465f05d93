"""Waves on a graph: leapfrog steps of dq = p dt, dp = (-c² L q - γ p + force) dt.

The velocity stands half a step before the displacement. Without damping and force the leapfrog's own energy,
½|p|² + ½c² qᵀ L q', of the displacements before and after that velocity, is kept but for rounding; the one that takes both
at one time swings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ParameterError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_array


def laplacian(edges: Int[np.ndarray, "m 2"], weights: Float[np.ndarray, " m"], n: int) -> csr_array:
    """Return the Laplacian of an undirected graph, (n, n).

    Raises
    ------
    DataError
        A weight that is negative or not finite: its waves would grow.
    """
    from scipy.sparse import coo_array, diags_array

    if not (np.isfinite(weights).all() and (np.asarray(weights) >= 0).all()):
        raise DataError(
            "A wave needs weights of edges that are finite and at least 0; a negative one makes it grow."
        )
    i, j = edges[edges[:, 0] != edges[:, 1]].T
    kept = np.asarray(weights, dtype=np.float64)[edges[:, 0] != edges[:, 1]]
    both = (np.concatenate([kept, kept]), (np.concatenate([i, j]), np.concatenate([j, i])))
    near = coo_array(both, shape=(n, n)).tocsr()
    return (diags_array(np.asarray(near.sum(axis=1))) - near).tocsr()


def largest_step(matrix: csr_array, speed: float) -> float:
    """Length of a step at which the leapfrog stops being stable, 2 / (c √λ_max); infinite without edges or speed.

    References
    ----------
    Hairer, Lubich and Wanner 2003, Geometric numerical integration illustrated by the Störmer-Verlet method, Acta Numerica
    12, section 5.1.
    """
    from scipy.sparse.linalg import eigsh

    if matrix.shape[0] <= 64:
        top = float(np.linalg.eigvalsh(matrix.toarray())[-1])
    else:
        top = float(
            eigsh(
                matrix,
                k=1,
                v0=np.ones(len(matrix.indptr) - 1) + 0.1 * _tilt(matrix),
                return_eigenvectors=False,
            )[0]
        )
    return float(2 / (speed * np.sqrt(top))) if top > 0 and speed > 0 else float("inf")


def _tilt(matrix: csr_array) -> np.ndarray:
    """A start that isn't the Laplacian's own constant vector, the same in every process."""
    return np.cos(np.arange(matrix.shape[0]))


def require_stable(h: float, matrix: csr_array, speed: float, *, stiffened: float = 1.0) -> None:
    """Refuse a step that is at or over the largest one.

    Parameters
    ----------
    stiffened : by how much edges may come to conduct more than the matrix says (2 with adapters).

    Raises
    ------
    ParameterError
        With the legal range.
    """
    most = largest_step(matrix, speed) / np.sqrt(stiffened)
    if not 0 < h < most:
        raise ParameterError(
            f"h={h!r} is not legal: the wave is stable with a step above 0 and below 2 / (c √λ_max) = {most:.6g} on this "
            f"graph (c = {speed:g}). Take a shorter step or a slower wave."
        )


def leapfrog(
    q: Float[np.ndarray, " *shape"],
    p: Float[np.ndarray, " *shape"],
    h: float,
    matrix: csr_array,
    speed: float,
    *,
    damping: float = 0.0,
    push: Float[np.ndarray, " *shape"] | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Take one step: the velocity from half a step before the displacement to half a step after it, then the displacement.

    Parameters
    ----------
    q, p : (n,) or (n, worlds). damping : γ, at least 0; taken at the middle of the step, so that none is too strong.
    push : what force and noise add to the velocity in this step.

    References
    ----------
    Hairer, Lubich and Wanner 2003, equation 1.5.
    """
    held = damping * h / 2
    p = ((1 - held) * p - h * speed**2 * (matrix @ q) + push) / (1 + held)
    return q + h * p, p


def energy(
    q: Float[np.ndarray, " *shape"],
    p: Float[np.ndarray, " *shape"],
    after: Float[np.ndarray, " *shape"],
    matrix: csr_array,
    speed: float,
) -> np.ndarray:
    """Energy of a velocity between two displacements, ½|p|² + ½c² after ᵀ L q; the naive one with q for ``after``."""
    return ((p * p).sum(axis=0) + speed**2 * (after * (matrix @ q)).sum(axis=0)) / 2
