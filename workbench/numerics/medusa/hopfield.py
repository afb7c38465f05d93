"""Hopfield networks: rates that go down in energy, and what is stored in their weights by Hebb, exactly, or as a list.

For a symmetric W, a rate's Euler step r ← r + h (tanh(W r + I) - r) lowers
E = -½ rᵀ W r - Iᵀ r + Σ ∫artanh(r) whatever r is, as long as h ≤ 1 / (1 + μ/2), where -μ is W's lowest eigenvalue (μ = 0 where
none is negative). For d, the step: the quadratic part changes by at most -(W r + I)ᵀ d + μ/2 |d|²; the integral is convex, and
changes by at most artanh(r + d)ᵀ d; r + d lies between r and tanh(W r + I), at a distance of |d| (1 - h) / h from the latter,
and artanh is at least as steep as 1. So E changes by at most |d|² (μ/2 - (1 - h) / h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ParameterError

if TYPE_CHECKING:
    from jaxtyping import Float


def energy(
    rates: Float[np.ndarray, " *batch n"],
    weights: Float[np.ndarray, "n n"],
    given: Float[np.ndarray, " n"] | float = 0.0,
) -> Float[np.ndarray, " *batch"]:
    """E = -½ rᵀ W r - Iᵀ r + Σ ∫₀^r artanh, of rates within [-1, 1].

    References
    ----------
    Hopfield 1984, Neurons with graded response have collective computational properties like those of two-state neurons,
    PNAS 81, equation 7.
    """
    from scipy.special import xlog1py

    held = (xlog1py(1 + rates, rates) + xlog1py(1 - rates, -rates)) / 2  # ∫artanh, finite at ±1
    return (held - rates * (rates @ weights.T) / 2 - given * rates).sum(axis=-1)


def largest_falling_step(weights: Float[np.ndarray, "n n"]) -> float:
    """The step up to which the energy falls from every state: 1 / (1 + μ/2); see the head of this file.

    Raises
    ------
    DataError
        The weights aren't symmetric: then there is no such energy.
    """
    if not np.allclose(weights, weights.T, atol=1e-12):
        raise DataError(
            "Rates have this energy where the weights are symmetric, and these aren't: it may rise."
        )
    return float(1 / (1 + max(0.0, -np.linalg.eigvalsh(weights)[0]) / 2))


def step(
    rates: Float[np.ndarray, " *batch n"],
    weights: Float[np.ndarray, "n n"],
    h: float,
    given: Float[np.ndarray, " n"] | float = 0.0,
) -> Float[np.ndarray, " *batch n"]:
    """One Euler step of dr = (-r + tanh(W r + I)) dt."""
    return rates + h * (np.tanh(rates @ weights.T + given) - rates)


def hebb(patterns: Float[np.ndarray, "k n"]) -> Float[np.ndarray, "n n"]:
    """Store patterns of ±1 by Hebb's rule, Σ ξ ξᵀ / n without a diagonal.

    Recall fails beyond a load k / n of about 0.138.

    References
    ----------
    Amit, Gutfreund and Sompolinsky 1985, Storing infinite numbers of patterns in a spin-glass model of neural networks, Phys.
    Rev. Lett. 55.
    """
    weights = patterns.T @ patterns / patterns.shape[1]
    np.fill_diagonal(weights, 0)
    return weights


def pseudo_inverse(patterns: Float[np.ndarray, "k n"]) -> Float[np.ndarray, "n n"]:
    """Store patterns exactly, as the projection on what they span.

    Up to n independent patterns stay as they are; what is corrected of a damaged one shrinks long before that.

    Raises
    ------
    DataError
        More patterns than nodes, or patterns that aren't independent.

    References
    ----------
    Personnaz, Guyon and Dreyfus 1986, Collective computational properties of neural networks, Phys. Rev. A 34.
    """
    k, n = patterns.shape
    rank = int(np.linalg.matrix_rank(patterns)) if k <= n else n
    if rank < k:
        raise DataError(
            f"{k:,} patterns of {n:,} nodes span {rank:,} directions: a projection stores independent ones alone."
        )
    frame = np.linalg.qr(patterns.T)[0]
    return frame @ frame.T


def settle(
    states: Float[np.ndarray, "k n"], weights: Float[np.ndarray, "n n"], *, sweeps: int = 100
) -> tuple[Float[np.ndarray, "k n"], bool]:
    """Turn nodes to the sign of their input, one after the other, until none turns (asynchronous, no noise).

    Returns
    -------
    states of ±1, and whether all came to rest within so many sweeps.
    """
    s = np.ascontiguousarray(states.T)
    turning = np.arange(s.shape[1])
    for _ in range(sweeps):
        some = s[:, turning]
        before = some.copy()
        for i in range(len(some)):
            field = weights[i] @ some
            some[i] = np.where(field == 0, some[i], np.sign(field))
        s[:, turning] = some
        turning = turning[(some != before).any(axis=0)]
        if not len(turning):
            return s.T, True
    return s.T, False


def recall(
    asked: Float[np.ndarray, "k d"], stored: Float[np.ndarray, "n d"], *, sharpness: float, steps: int = 1
) -> Float[np.ndarray, "k d"]:
    """Read a modern Hopfield memory: x ← Σ softmax(β stored · x) stored.

    Parameters
    ----------
    sharpness : β, above 0.

    Raises
    ------
    ParameterError
        β isn't above 0.

    References
    ----------
    Ramsauer et al. 2021, Hopfield networks is all you need (2008.02217), equation 3.
    """
    if not sharpness > 0:
        raise ParameterError(f"sharpness={sharpness!r} is not legal: a number above 0.")
    x = asked
    for _ in range(steps):
        fit = sharpness * (x @ stored.T)
        weight = np.exp(fit - fit.max(axis=1, keepdims=True))
        x = (weight @ stored) / weight.sum(axis=1, keepdims=True)
    return x
