"""Data without the structure that is asked about: what nulls for shapes and for series draw from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST_ROOT = 0.999  # of a process that is run, so that it stays bounded
LONGEST_MEMORY = 10.0  # times log10 of the steps: the most lags of a fitted model
SETTLING = 500  # steps that a simulated series takes to forget its start


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
    # single precision halves the time and errs by a millionth
    factor = (factor / scale).astype(np.float32)

    def draw(rng: np.random.Generator) -> np.ndarray:
        z = rng.standard_normal((n, len(factor)), dtype=np.float32)
        return mean + scale * _turned(z - z.mean(axis=0), factor)

    return draw


def _turned(z: Float[np.ndarray, "n k"], factor: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "n d"]:
    """Return Q @ factor for the Q of z = QR whose R has a positive diagonal; z is normal, so that Q is uniform.

    The reflections that make Q are applied to the factor, and Q itself is never written out: half of the work.
    """
    from scipy.linalg.lapack import sgeqrf, sormqr

    n, k = z.shape
    padded = np.zeros((n, factor.shape[1]), np.float32)
    if k == 0:  # all rows are equal
        return padded
    reflections, scales, *_ = sgeqrf(z)
    padded[:k] = factor * np.sign(np.diag(reflections)[:k, None])
    work = 64 * padded.shape[1]
    made, *_ = sormqr("R", "T", reflections[:, : len(scales)], scales, padded.T, work, overwrite_c=1)
    return np.asarray(made.T)


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
        rank = _ranks(current)
        if previous is not None and (rank == previous).all():
            break
        previous = rank
        adjusted = np.take_along_axis(ordered, rank, axis=0)
        angles = np.angle(np.fft.rfft(adjusted, axis=0))
        # the angle common to all channels is free; what differs between them stays
        common = np.angle(np.exp(1j * (angles - phase)).mean(axis=1, keepdims=True))
        current = np.fft.irfft(size * np.exp(1j * (phase + common)), n, axis=0)
    return np.take_along_axis(ordered, _ranks(current), axis=0)


def meeting_ends(values: Float[np.ndarray, "T c"], share: float = 0.1) -> slice:
    """Return the stretch of a series, short of ``share`` at either end at most, that goes on at its end as at its start.

    Fourier surrogates take the series for a period: a jump from its last step to its first, or a season that is cut, would
    give them noise that the series doesn't have, and a test against them would reject too often. What follows either end
    is compared over half of ``share``, since one step alone may meet by noise.

    References
    ----------
    Theiler, Linsay and Rubin 1993, Detecting nonlinearity in data with long coherence times, in Time Series
    Prediction, Santa Fe Institute.
    """
    n = len(values)
    m = max(1, int(share * n))
    compared = max(1, m // 2)
    z = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), np.finfo(float).tiny)
    starts, ends = np.arange(m), np.arange(n - m, n - compared + 1)
    steps = np.arange(compared)
    after_start, after_end = z[starts[:, None] + steps], z[ends[:, None] + steps]
    apart = np.square(after_start[:, None] - after_end).sum(axis=(2, 3))
    start, end = np.unravel_index(int(apart.argmin()), apart.shape)
    return slice(int(starts[start]), int(ends[end]))


def autoregressive(
    values: Float[np.ndarray, "T c"],
) -> Callable[[np.random.Generator], Float[np.ndarray, "T c"]]:
    """Return a function that simulates the series anew as a linear process, each call another, with the same values.

    A vector autoregression is fitted by least squares to the channels' normal scores, with as many lags as Akaike's
    criterion takes, and run with Gaussian noise of the residuals' covariance; each channel's own values are put in the order
    of the result. Unlike a Fourier surrogate, it doesn't take the series for a period, and its draws vary as series of this
    process do: that counts where few swings were seen. A fit that isn't stable has its memory shortened until it is.

    References
    ----------
    Lütkepohl 2005, New Introduction to Multiple Time Series Analysis, ch. 3 and 4; Schreiber and Schmitz 2000, Surrogate
    time series, Physica D 142.
    """
    from scipy.special import ndtri

    n, c = values.shape
    ordered = np.sort(values, axis=0)
    scores = ndtri((_ranks(values) + 0.5) / n)
    most = max(1, min(int(LONGEST_MEMORY * np.log10(n)), (n - 1) // (3 * c + 1)))
    coefficients, residuals = _least_akaike(scores, most)
    coefficients = _stable(coefficients)
    root = np.linalg.cholesky(residuals.T @ residuals / len(residuals) + 1e-12 * np.eye(c))

    def draw(rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((n + SETTLING, c)) @ root.T
        simulated = _simulated(coefficients, noise)[SETTLING:]
        return np.take_along_axis(ordered, _ranks(simulated), axis=0)

    return draw


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")


def _least_akaike(x: Float[np.ndarray, "T c"], most: int) -> tuple[np.ndarray, np.ndarray]:
    """(p, c, c) coefficients, the last step's first, and residuals, of the order that Akaike's criterion takes."""
    n, c = x.shape
    target = x[most:]
    lagged = np.column_stack([np.ones(n - most), *(x[most - i : n - i] for i in range(1, most + 1))])
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for p in range(most + 1):
        some = lagged[:, : 1 + p * c]
        fit = np.linalg.lstsq(some, target, rcond=None)[0]
        residuals = target - some @ fit
        sign, logdet = np.linalg.slogdet(residuals.T @ residuals / len(target))
        criterion = (logdet if sign > 0 else -np.inf) + 2 * p * c * c / len(target)
        if best is None or criterion < best[0]:
            best = float(criterion), fit[1:].reshape(p, c, c).transpose(0, 2, 1), residuals
    assert best is not None
    return best[1], best[2]


def _stable(coefficients: Float[np.ndarray, "p c c"]) -> Float[np.ndarray, "p c c"]:
    """Coefficients whose process stays bounded: those at lag i times s to the power i, with the largest such s."""
    p, c, _ = coefficients.shape
    if p == 0:
        return coefficients
    companion = np.eye(p * c, k=-c)
    companion[:c] = coefficients.transpose(1, 0, 2).reshape(c, p * c)
    largest = float(np.abs(np.linalg.eigvals(companion)).max())
    shrink = min(1.0, LARGEST_ROOT / largest) if largest > 0 else 1.0
    return np.asarray(coefficients * shrink ** np.arange(1, p + 1)[:, None, None])


def _simulated(coefficients: Float[np.ndarray, "p c c"], noise: Float[np.ndarray, "T c"]) -> np.ndarray:
    """The process that the noise drives."""
    from scipy.signal import lfilter

    p, c, _ = coefficients.shape
    if c == 1:
        return np.asarray(lfilter([1.0], np.concatenate([[1.0], -coefficients[:, 0, 0]]), noise, axis=0))
    x = noise.copy()
    flat = coefficients.transpose(1, 0, 2).reshape(c, p * c)
    for t in range(1, len(x)):
        k = min(p, t)
        x[t] += flat[:, : k * c] @ x[t - k : t][::-1].ravel()
    return x


def unit_root(channel: Float[np.ndarray, " T"]) -> bool:
    """Whether a series may be a random walk or have a trend: the augmented Dickey-Fuller test at 5 % doesn't say otherwise.

    With a constant; as many lagged differences as Akaike's criterion takes.

    References
    ----------
    Said and Dickey 1984, Testing for unit roots in autoregressive-moving average models of unknown order, Biometrika 71;
    MacKinnon 2010, Critical values for cointegration tests, Queen's Economics Department working paper 1227.
    """
    n = len(channel)
    x = (channel - channel.mean()) / max(float(channel.std()), np.finfo(float).tiny)
    steps = np.diff(x)
    most = max(0, min(int(12 * (n / 100) ** 0.25), n // 4 - 2))
    target = steps[most:]
    lagged = [steps[most - i : len(steps) - i] for i in range(1, most + 1)]
    design = np.column_stack([x[most:-1], np.ones(len(target)), *lagged])
    best = (np.inf, 0.0)
    for k in range(2, design.shape[1] + 1):
        fit = np.linalg.lstsq(design[:, :k], target, rcond=None)[0]
        square = float(np.square(target - design[:, :k] @ fit).sum())
        spread = square / max(len(target) - k, 1) * np.linalg.pinv(design[:, :k].T @ design[:, :k])[0, 0]
        criterion = len(target) * np.log(max(square, np.finfo(float).tiny)) + 2 * k
        if criterion < best[0]:
            best = criterion, float(fit[0] / np.sqrt(max(spread, np.finfo(float).tiny)))
    m = len(target)
    return best[1] > -2.86154 - 2.8903 / m - 4.234 / m**2 - 40.04 / m**3
