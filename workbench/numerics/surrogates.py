"""Data without the structure that is asked about: what nulls for shapes and for series draw from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def row_rotations(
    values: Float[np.ndarray, "n d"],
) -> Callable[[np.random.Generator], Float[np.ndarray, "n d"]]:
    """Return a function that rotates the rows at random about their mean, each call anew.

    The n rows are mixed by a uniformly random orthogonal n x n matrix that leaves their mean alone. Mean
    and covariance stay as they are (to single precision); groups, holes and branches go. Rows drawn independently from
    any Gaussian, in any number of dimensions, have the same distribution before and after given their mean
    and covariance, so that a Monte-Carlo test against these draws is exact for them.

    References
    ----------
    Langsrud 2005, Rotation tests, Statistics and Computing 15.
    """
    n, d = values.shape
    mean = values.mean(axis=0, dtype=np.float64)
    centred = values - mean
    small = centred.T @ centred if d < n else centred @ centred.T
    w, v = np.linalg.eigh(small)
    kept = w > w[-1] * max(n, d) * np.finfo(np.float64).eps
    factor = np.sqrt(w[kept])[:, None] * v[:, kept].T if d < n else v[:, kept].T @ centred
    scale = np.abs(factor).max(initial=np.finfo(np.float64).tiny)
    factor = (factor / scale).astype(np.float32)  # single precision halves the time and errs by a millionth

    def draw(rng: np.random.Generator) -> np.ndarray:
        z = rng.standard_normal((n, len(factor)), dtype=np.float32)
        q, r = np.linalg.qr(z - z.mean(axis=0))
        return mean + scale * ((q * np.sign(np.diag(r))) @ factor)

    return draw


def phase_randomised(
    values: Float[np.ndarray, "T c"], rng: np.random.Generator, iterations: int = 50
) -> Float[np.ndarray, "T c"]:
    """Return a series with the same values and (nearly) the same spectra in each channel, and nothing else.

    Fourier phases are turned at random, by the same angle in every channel, so that the channels'
    correlations stay; then each channel's values are put back in the order of the result, and both steps
    are repeated (iterated amplitude-adjusted surrogates). What is left is a linear Gaussian process seen
    through a fixed monotone function.

    References
    ----------
    Schreiber and Schmitz 1996, Improved surrogate data for nonlinearity tests, Phys. Rev. Lett. 77;
    Prichard and Theiler 1994, Generating surrogate data for time series with several simultaneously
    measured variables, Phys. Rev. Lett. 73.
    """
    n = len(values)
    spectrum = np.fft.rfft(values, axis=0)
    size, phase = np.abs(spectrum), np.angle(spectrum)
    turn = rng.uniform(0, 2 * np.pi, (len(spectrum), 1))
    ordered = np.sort(values, axis=0)
    current = np.fft.irfft(size * np.exp(1j * (phase + turn)), n, axis=0)
    previous = None
    for _ in range(iterations):
        rank = current.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        if previous is not None and (rank == previous).all():
            break
        previous = rank
        adjusted = np.take_along_axis(ordered, rank, axis=0)
        angles = np.angle(np.fft.rfft(adjusted, axis=0))
        # the angle common to all channels is free; what differs between them stays
        common = np.angle(np.exp(1j * (angles - phase)).mean(axis=1, keepdims=True))
        current = np.fft.irfft(size * np.exp(1j * (phase + common)), n, axis=0)
    return np.take_along_axis(
        ordered, current.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable"), axis=0
    )


def meeting_ends(values: Float[np.ndarray, "T c"], share: float = 0.1) -> slice:
    """Return the stretch of a series, short of ``share`` at either end at most, whose ends meet best.

    Fourier surrogates take the series for a period: a jump from its last step to its first would give them
    noise that the series doesn't have, and a test against them would reject too often.

    References
    ----------
    Theiler, Linsay and Rubin 1993, Detecting nonlinearity in data with long coherence times, in Time Series
    Prediction, Santa Fe Institute.
    """
    n = len(values)
    m = max(1, int(share * n))
    z = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), np.finfo(float).tiny)
    first, last = np.arange(m), n - 1 - np.arange(m)
    jump = ((z[first][:, None] - z[last]) ** 2).sum(axis=2)
    bend = (((z[first + 1] - z[first])[:, None] - (z[last] - z[last - 1])) ** 2).sum(axis=2)
    start, end = np.unravel_index(int((jump + bend).argmin()), (m, m))
    return slice(int(start), n - int(end))
